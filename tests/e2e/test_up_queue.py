"""What waits in Dagster's queue when `huleedu up` starts is done, under the code of that day."""

from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.instance.ref import InstanceRef

from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.orchestration.home import IN_PROCESS_CONFIG, DagsterHome
from huleedu_dagster.orchestration.in_process import InProcessDaemon
from huleedu_dagster.pipeline.intake import Intake
from huleedu_dagster.pipeline.lifecycle import register
from huleedu_dagster.settings import Settings
from huleedu_dagster.storage.local import LocalBlobStore
from tests.e2e.site import Site
from tests.support.world import GOOD

pytestmark = pytest.mark.slow

_QUEUED: dict[str, Any] = {
    "run_coordinator": {
        "module": "dagster._core.run_coordinator",
        "class": "QueuedRunCoordinator",
        "config": {"max_concurrent_runs": 1},
    }
}


def put_into_queue(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hand in a class and let its run wait in the queue, as a daemon that ends leaves it."""
    monkeypatch.setenv("HULEEDU_HOME", str(home))
    settings = Settings()
    ledger = Ledger(settings.resolved_ledger_url)
    ledger.migrate()
    register(ledger, "late", settings=settings.batch_settings, expected_essay_count=1)
    intake = Intake(ledger, LocalBlobStore(settings.blob_folder), settings.max_slots)
    with intake.submission("late") as submission:
        submission.receive("essay.txt", GOOD.encode())
    ledger.close()
    DagsterHome(settings).prepare()
    reference = InstanceRef.from_dir(
        str(settings.dagster_folder), config_filename=IN_PROCESS_CONFIG, overrides=_QUEUED
    )
    with DagsterInstance.from_ref(reference) as instance, InProcessDaemon(instance) as daemon:
        daemon.tick()
        assert instance.get_runs_count(RunsFilter(statuses=[DagsterRunStatus.QUEUED])) == 1


def test_a_run_that_waits_in_the_queue_is_done_by_the_next_up_under_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    put_into_queue(home, monkeypatch)
    site = Site(home, tmp_path)
    try:
        site.serve(revision="later")
        site.wait_until_ready("late")
        runs = site.pages.runs(huleedu__batch="late", huleedu__kind="essays")
        assert runs == {"SUCCESS": 1}
    finally:
        site.close()
    with Ledger(Settings().resolved_ledger_url).read() as tx:
        found = {it.stage: it.code_version for it in tx.outcomes.current("late", "e001")}
    assert found[Stage.SPELLCHECK_RESULT].endswith("revision later")
