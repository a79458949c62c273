"""Workers on other machines: what their file and that of the stores say, beside the others."""

import re
from collections.abc import Sequence
from typing import Any

import pytest

from huleedu_dagster.settings import Settings
from tests.e2e.compose_files import (
    MAIN,
    OF_STORES,
    ROOT,
    SCALE,
    SECRETS,
    STORES,
    WORKER,
    compose,
    configuration,
)

(ADDRESS,) = OF_STORES.values()
PORTS = {"postgres": "5432", "s3": "8333", "broker": "6379"}
# Nothing else of `.env` is needed, or should be, on a machine that has no stores.
OF_WORKER = {
    key: SECRETS[key]
    for key in ("HULEEDU_DATABASE_PASSWORD", "HULEEDU_S3_SECRET_KEY", "HULEEDU_BROKER_PASSWORD")
} | OF_STORES


def services(files: Sequence[str], variables: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = configuration(files, variables)["services"]
    return found


def test_a_worker_elsewhere_is_the_same_but_for_where_the_stores_are() -> None:
    more = {"HULEEDU_INTAKE_URL": "https://essays.school.example", "HULEEDU_WORKERS": "3"}
    here = services((MAIN, SCALE), {**SECRETS, **more})["worker"]
    there = services((WORKER,), {**OF_WORKER, **more})["worker"]
    assert here.pop("networks").keys() == {"stores"}
    assert there.pop("networks").keys() == {"default"}
    # Those are on the machine of the stores.
    del here["depends_on"]
    assert sorted(there.pop("extra_hosts")) == sorted(f"{name}={ADDRESS}" for name in PORTS)
    assert there == here


def test_a_worker_has_memory_for_all_that_its_readers_may_take() -> None:
    settings = Settings()
    readers = settings.extraction_workers * settings.extraction_memory_bytes
    for files in ((MAIN, SCALE), (WORKER,)):
        given = services(files, {**SECRETS, **OF_STORES})["worker"]
        # And half a gigabyte for itself and the process of its run.
        assert int(given["mem_limit"]) >= readers + 512 * 1024**2


def test_a_worker_elsewhere_is_alone_and_is_reached_by_nobody() -> None:
    (only,) = services((WORKER,), OF_WORKER).items()
    assert only[0] == "worker"
    assert "ports" not in only[1]


@pytest.mark.parametrize("missing", sorted(OF_WORKER))
def test_nothing_that_a_worker_elsewhere_needs_has_a_default(missing: str) -> None:
    variables = {key: it for key, it in OF_WORKER.items() if key != missing}
    refused = compose("config", "--quiet", files=(WORKER,), variables=variables)
    assert refused.returncode != 0
    assert f"required variable {missing} is missing a value" in refused.stderr


def test_the_stores_are_reached_at_the_one_address_and_all_else_stays_as_it_is() -> None:
    without = services((MAIN, SCALE), SECRETS)
    reached = services((MAIN, SCALE, STORES), {**SECRETS, **OF_STORES})
    for name, port in PORTS.items():
        (published,) = reached[name].pop("ports")
        assert (published["host_ip"], published["published"]) == (ADDRESS, port)
        assert str(published["target"]) == port
        assert reached[name].pop("networks").keys() == {"stores", "edge"}
        assert without[name].pop("networks").keys() == {"stores"}
    assert reached == without


def test_what_the_document_has_people_write_goes_together() -> None:
    text = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```ini\n(COMPOSE_FILE=.*?)^```", text, re.MULTILINE | re.DOTALL)
    first, other = (dict(re.findall(r"^(\w+)=(.*)$", it, re.MULTILINE)) for it in blocks)
    assert first.pop("COMPOSE_FILE").split(":") == [MAIN, SCALE, STORES]
    assert other.pop("COMPOSE_FILE") == WORKER
    # Secrets are empty there, and only those.
    assert {key for key, it in other.items() if not it} == OF_WORKER.keys() - OF_STORES.keys()
    here = services((MAIN, SCALE, STORES), {**SECRETS, **first})
    there = services((WORKER,), {**OF_WORKER, **{key: it for key, it in other.items() if it}})
    workers = [it["worker"]["deploy"]["replicas"] for it in (here, there)]
    for found in (here, there):
        assert int(found["worker"]["environment"]["HULEEDU_MAX_RUNS"]) == sum(workers)
    # What `test_deployment_files` adds up for two workers, and what a worker more may hold.
    usual = services((MAIN, SCALE), SECRETS)
    assert usual["worker"]["deploy"]["replicas"] == workers[0]
    most = [" ".join(it["postgres"]["command"]) for it in (usual, here)]
    before, after = (int(re.findall(r"max_connections=(\d+)", it)[0]) for it in most)
    (each,) = re.findall(r"hold (\d+) connections", text)
    assert after - before == workers[1] * int(each)


def test_no_port_of_a_store_is_open_before_its_address_is_given() -> None:
    refused = compose("config", "--quiet", files=(MAIN, SCALE, STORES), variables=SECRETS)
    assert refused.returncode != 0
    assert "required variable HULEEDU_STORES_ADDRESS is missing a value" in refused.stderr


def test_the_names_and_ports_are_those_that_a_worker_is_told() -> None:
    told = services((WORKER,), OF_WORKER)["worker"]["environment"]
    assert told["HULEEDU_S3_ENDPOINT"] == f"s3:{PORTS['s3']}"
    assert f"@broker:{PORTS['broker']}/" in told["HULEEDU_BROKER_URL"]
    for setting in ("HULEEDU_LEDGER_URL", "HULEEDU_DAGSTER_DATABASE_URL"):
        assert f"@postgres:{PORTS['postgres']}/" in told[setting]


def test_postgres_can_be_given_more_connections_for_more_workers() -> None:
    for given, expected in (({}, "120"), ({"POSTGRES_MAX_CONNECTIONS": "200"}, "200")):
        command = services((MAIN,), {**SECRETS, **given})["postgres"]["command"]
        assert f"max_connections={expected}" in command
