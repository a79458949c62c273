"""What is delivered for monitoring: it can be read, and every metric that it names is told."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from huleedu_dagster.observability.metrics import InstallationCollector, Metrics, Stopwatch
from tests.support.alerting import rules
from tests.support.ledger import new_ledger
from tests.support.promql import read

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "deploy" / "monitoring"
DASHBOARD = json.loads((MONITORING / "grafana" / "huleedu.json").read_text())
_OF_PROMETHEUS = {"up"}
_OF_TARGETS = {"instance", "job"}


@pytest.fixture
def told(tmp_path: Path) -> dict[str, set[str]]:
    """Labels of every sample that an installation tells, by its name."""
    ledger = new_ledger(tmp_path / "ledger.db")
    found = labels_of(Metrics.of(InstallationCollector(ledger, tmp_path, lambda: 1.0)))
    ledger.close()
    return found


def labels_of(metrics: Metrics) -> dict[str, set[str]]:
    Stopwatch(metrics).stop("GET", "/healthz", "200")
    text, _ = metrics.told("")
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = DASHBOARD["panels"]
    return found


def targets() -> list[tuple[str, str]]:
    """Every expression of the dashboard with how its series are named."""
    return [(it["expr"], it["legendFormat"]) for panel in panels() for it in panel["targets"]]


def test_every_metric_of_the_dashboard_is_told(told: dict[str, set[str]]) -> None:
    asked = {name for expression, _ in targets() for name in read(expression).metrics}
    assert len(asked) > 12
    assert asked - told.keys() == set()


def test_every_metric_of_the_rules_is_told(told: dict[str, set[str]]) -> None:
    asked = {name for rule in rules() for name in read(rule.expression).metrics}
    assert asked - told.keys() == _OF_PROMETHEUS


def test_every_label_of_the_dashboard_is_one_of_its_metrics(told: dict[str, set[str]]) -> None:
    for expression, legend in targets():
        query = read(expression)
        labels = query.labels | set(re.findall(r"\{\{(\w+)\}\}", legend))
        for name in query.metrics:
            assert labels <= told[name] | _OF_TARGETS, expression


def test_what_every_intake_tells_alike_is_not_added_up(told: dict[str, set[str]]) -> None:
    of_one_process = labels_of(Metrics.of(None)).keys()
    alike = {it for it in told.keys() - of_one_process if not it.startswith("huleedu_disk")}
    assert {"huleedu_uploads_total", "huleedu_queue_latency_seconds_bucket"} <= alike
    for expression, _ in targets():
        if read(expression).metrics & alike:
            assert re.search(r"\bmax (by|without) \(", expression), expression
            assert "sum" not in expression


def test_a_number_that_stands_alone_is_the_present_one() -> None:
    for panel in panels():
        if panel["type"] == "stat":
            assert all(it["instant"] for it in panel["targets"]), panel["title"]


def test_the_metrics_that_were_asked_for_are_told(told: dict[str, set[str]]) -> None:
    expected = {
        "essay_validation_failed_total": {"error_code"},
        "batch_completion_seconds_bucket": {"status", "le"},
        "huleedu_queue_latency_seconds_bucket": {"stage", "le"},
        "huleedu_stage_duration_seconds_bucket": {"stage", "le"},
        "dlq_messages_total": set(),
        "requests_total": {"method", "route", "status"},
        "request_latency_seconds_bucket": {"method", "route", "le"},
    }
    assert {name: told[name] for name in expected} == expected


def test_panels_have_titles_of_their_own_and_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    for name in ("title", "id"):
        assert len({it[name] for it in panels()}) == len(panels())


def test_the_dashboard_asks_the_data_source_that_is_delivered() -> None:
    (source,) = yaml.safe_load((MONITORING / "grafana" / "datasources.yml").read_text())[
        "datasources"
    ]
    assert {panel["datasource"]["uid"] for panel in panels()} == {source["uid"]}


def test_every_metric_is_in_the_document(told: dict[str, set[str]]) -> None:
    document = (ROOT / "docs" / "metrics.md").read_text()
    families = {re.sub(r"_(bucket|sum|count)$", "", it) for it in told}
    missing = {it for it in families if it not in document and not it.startswith("process_")}
    assert missing == set()
    assert {it.name for it in rules()} - set(re.findall(r"HuleEdu\w+", document)) == set()


def test_nothing_is_registered_or_brought_by_an_import() -> None:
    program = (
        "import sys, huleedu_dagster.observability.metrics\n"
        "from prometheus_client import REGISTRY, generate_latest\n"
        "assert b'huleedu' not in generate_latest(REGISTRY)\n"
        "assert b'requests_total' not in generate_latest(REGISTRY)\n"
        "assert 'dagster' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
