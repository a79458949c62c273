"""The sizing page says what its inputs say, and follows them."""

import json
import re
from typing import Any

import pytest

from scripts import sizing
from tests.support.kubernetes_files import FOLDER, document, found


def inputs() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(sizing.INPUTS.read_text(encoding="utf-8"))
    return found


def changed(**values: float | None) -> dict[str, str]:
    """What the page says of each thing when inputs are others."""
    given = inputs()
    for name, value in values.items():
        given[name]["value"] = value
    usable = {name: float(it["value"]) for name, it in given.items() if it["value"] is not None}
    return {what: how_much for what, how_much, _ in sizing.results(usable)}


def test_the_page_is_as_computed() -> None:
    assert sizing.main(["--check"]) == 0


def test_every_input_is_used_and_says_where_it_is_from() -> None:
    with_all = {name: it["value"] or 100 for name, it in inputs().items()}
    before = changed(**with_all)
    for name, it in inputs().items():
        assert it["from"]
        assert changed(**{**with_all, name: with_all[name] * 7}) != before, name


def test_what_is_said_to_be_as_delivered_is() -> None:
    settings = found("ConfigMap", "huleedu-settings")["data"]
    web_server = document("values.yaml")["dagsterWebserver"]
    delivered = {
        "intakes": found("Deployment", "huleedu-intake")["spec"]["replicas"],
        "web_servers": web_server["replicaCount"] * (1 + web_server["enableReadOnly"]),
        "max_runs": int(settings["HULEEDU_MAX_RUNS"]),
        "ledger_connections": int(settings["HULEEDU_LEDGER_CONNECTIONS"]),
        "dagster_connections": int(settings["HULEEDU_DAGSTER_CONNECTIONS"]),
    }
    named = {name: it["value"] for name, it in inputs().items() if "kubernetes" in it["from"]}
    assert named == delivered
    wanted = int(changed()["Connections to Postgres, at most"])
    told = (FOLDER.parents[1] / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    assert f" {wanted} connections to Postgres at most" in told
    assert f"With the {delivered['max_runs']} of\n" in told
    (most,) = re.findall(r"`max_connections` to (\d+)", told)
    assert int(most) > wanted


def test_numbers_follow_by_hand() -> None:
    found = changed(
        essays_per_year=1_900_000,
        versions=1,
        school_days=190,
        hours_per_day=10,
        peak=3.6,
        class_size=20,
        cpu_class=4,
        cpu_essay=0.05,
        utilisation=0.5,
        transactions=20,
        rest_transactions=60,
        pipeline_1000=100,
        intakes=3,
        web_servers=2,
        max_runs=7,
        ledger_connections=4,
        dagster_connections=6,
        memory_run=200,
        readers=2,
        reader_limit=1e9,
    )
    assert found["Essays on a school day"] == "10,000"
    assert found["CPU of an essay"] == "0.250 s"
    assert found["Essays an hour on one core"] == "14,400"
    # 10,000 in ten hours of 3,600 s, 3.6 times that in the busiest.
    assert found["Essays a second in the busiest hour"] == "1.0"
    assert found["Cores for runs in the busiest hour"] == "1"
    # Three intakes, two web servers, daemon, code server and seven runs, ten of each.
    assert found["Connections to Postgres, at most"] == "140"
    assert found["Memory that readers of files may take, at most"] == "14 GB"
    assert found["Transactions a second in the busiest hour"] == "80"
    assert found["Essays an hour, as timed by `pipeline_1000`"] == "36,000"


def test_what_is_not_measured_yet_is_said() -> None:
    found = changed(queue_200=None)
    assert found["Essays an hour, as timed by `queue_200`"] == "not measured yet"


def test_a_page_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="inputs"):
        sizing.filled("# Sizing\n", {"inputs": "| a |"})
