"""`huleedu up` and the other commands with ledger and Dagster on a real Postgres server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.site import Site
from tests.support.postgres import postgres_database

pytestmark = pytest.mark.slow

SAMPLES = Path(__file__).parents[2] / "samples"
BATCH = "demo"
COMMAND = [sys.executable, "-m", "huleedu_dagster.cli.app"]
# Everything that has a meaning in a URL, and in a file of configuration.
PASSWORD = "p%40ss:/?#[]%25{env}$'"
ENCODED = "p%2540ss%3A%2F%3F%23%5B%5D%2525%7Benv%7D%24%27"


@pytest.fixture(scope="module")
def databases() -> Iterator[Mapping[str, str]]:
    with postgres_database(migrated=False) as ledger, postgres_database(migrated=False) as dagster:
        yield {
            "HULEEDU_LEDGER_URL": with_password(ledger),
            "HULEEDU_DAGSTER_DATABASE_URL": with_password(dagster),
            # So few that a connection which is not given back stops everything.
            "HULEEDU_LEDGER_CONNECTIONS": "2",
            "HULEEDU_DAGSTER_CONNECTIONS": "2",
        }


@pytest.fixture(scope="module")
def site(databases: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("home"), SAMPLES, databases)
    try:
        site.hand_in(BATCH)
        site.serve()
        site.wait_until_ready(BATCH)
        yield site
    finally:
        site.close()


def with_password(url: str) -> str:
    """A URL with a password, which this server does not ask for."""
    return url.replace("postgres@", f"postgres:{ENCODED}@")


def huleedu(site: Site, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *arguments, "--home", str(site.home)],
        env={**os.environ, **site.settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_class_in_the_inbox_is_released(site: Site) -> None:
    view = site.view(BATCH)
    assert view is not None
    assert (view.received, view.ready, view.rejected) == (12, 9, 3)
    assert not (site.home / "ledger.db").exists()
    site.serve()
    assert site.pages.evaluations("batch_manifest", "batch_is_complete", BATCH)[:1] == [True]


def test_status_and_doctor_see_the_same(site: Site) -> None:
    site.serve()
    status = huleedu(site, "status", "--json")
    assert status.returncode == 0, status.stderr
    assert [it["batch_id"] for it in json.loads(status.stdout)] == [BATCH]
    examined = huleedu(site, "doctor", "--json")
    checks = {it["name"]: it for it in json.loads(examined.stdout)["checks"]}
    assert [it for it in checks.values() if not it["ok"]] == []
    assert checks["Dagster's database"]["found"].startswith("schema revision")
    ours = checks["connections to the ledger"]["found"]
    theirs = checks["connections to Dagster's database"]["found"]
    for part in ("code-server", "intake"):
        assert f"huleedu ledger {part} " in ours
    for part in ("web-server", "daemon"):
        assert f"huleedu dagster {part} " in theirs
    assert ours.endswith(" of 200 on the server")


def test_no_password_is_in_a_file_or_a_log(site: Site) -> None:
    site.serve()
    said = "".join(site.serve().lines)
    files = [it for it in site.home.rglob("*") if it.is_file() and "blobs" not in it.parts]
    assert site.home / "dagster" / "dagster.yaml" in files
    texts = {str(it): it.read_bytes().decode(errors="replace") for it in files}
    for name, text in {**texts, "standard output": said}.items():
        assert ENCODED not in text, name
        assert PASSWORD not in text, name
    config = site.pages.ask("{ instance { info } }")["instance"]["info"]
    assert ENCODED not in config


def test_run_works_where_no_server_is_running(site: Site) -> None:
    if site.running is not None:
        site.stop()
    done = huleedu(site, "run", str(SAMPLES), "--batch", "by-hand", "--json")
    assert done.returncode == 0, done.stderr
    view = site.view("by-hand")
    assert view is not None
    assert (view.received, view.ready, view.rejected) == (12, 9, 3)
