"""Workers on several machines: what happens to a batch when one is killed in the middle of a run.

A gate is a lock in a database that a statement waits for, so that a worker stands still at a place
that is known, and is killed there.
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from dagster import AssetKey, DagsterEventType, DagsterRunStatus, RunsFilter
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._daemon.monitoring.run_monitoring import RESUME_RUN_LOG_MESSAGE

from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.orchestration.celery_launcher import SILENT_SECONDS
from huleedu_dagster.sensors.tags import KIND_TAG, RunKind
from tests.e2e.scale_site import Program, ScaleSite, wait_for

ESSAYS = 6
_GATES = """
CREATE TABLE gates (batch_id text, after integer, key bigint, PRIMARY KEY (batch_id, after));
CREATE FUNCTION wait_at_gate(batch text, passed bigint) RETURNS void AS $$
  SELECT pg_advisory_xact_lock_shared(key) FROM gates WHERE batch_id = batch AND passed >= after
$$ LANGUAGE sql;
"""
_LEDGER_GATE = """
CREATE FUNCTION gate() RETURNS trigger AS $$ BEGIN
  PERFORM wait_at_gate(NEW.batch_id, (SELECT count(DISTINCT slot) FROM stage_outcomes
    WHERE batch_id = NEW.batch_id AND slot <> NEW.slot));
  RETURN NEW;
END $$ LANGUAGE plpgsql;
CREATE TRIGGER gate BEFORE INSERT ON stage_outcomes FOR EACH ROW EXECUTE FUNCTION gate();
"""
_DAGSTER_GATE = """
CREATE FUNCTION gate() RETURNS trigger AS $$ BEGIN
  PERFORM wait_at_gate(value || ' ' || NEW.dagster_event_type, 0) FROM run_tags
    WHERE run_id = NEW.run_id AND key = 'huleedu/batch';
  RETURN NEW;
END $$ LANGUAGE plpgsql;
CREATE TRIGGER gate BEFORE INSERT ON event_logs FOR EACH ROW EXECUTE FUNCTION gate();
"""


@dataclass
class Gate:
    """Where the run of a batch waits, with all the locks that it holds there."""

    connection: sa.Connection
    key: int

    def shut(self, name: str, after: int) -> None:
        """Let nobody pass after so many."""
        self.connection.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": self.key})
        row = {"name": name, "after": after, "key": self.key}
        self.connection.execute(sa.text("INSERT INTO gates VALUES (:name, :after, :key)"), row)

    @property
    def waiting(self) -> bool:
        """Whether somebody stands there."""
        return bool(self._waiting())

    def open(self, *, ending: bool = False) -> None:
        """Let whoever waits pass; `ending` first ends those whose process is gone."""
        for pid in self._waiting() if ending else []:
            self.connection.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        self.connection.execute(sa.text("DELETE FROM gates WHERE key = :key"), {"key": self.key})
        self.connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": self.key})

    def _waiting(self) -> list[int]:
        query = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        found = self.connection.execute(sa.text(f"{query} AND objid = :key"), {"key": self.key})
        return list(found.scalars())


class GatedSite(ScaleSite):
    """A site with gates."""

    def start(self, workers: int) -> None:
        """Start it, and build the gates."""
        super().start(workers)
        self._ledger_sql = self.sql(self.settings.ledger_url)
        self._dagster_sql = self.sql(self.settings.dagster_database_url)
        self._keys = iter(range(1_000, 2_000))
        for connection, gate in (
            (self._ledger_sql, _LEDGER_GATE),
            (self._dagster_sql, _DAGSTER_GATE),
        ):
            connection.exec_driver_sql(_GATES + gate)

    def gate_after(self, batch_id: str, commits: int) -> Gate:
        """Stop a batch's run when so many essays are committed."""
        gate = Gate(self._ledger_sql, next(self._keys))
        gate.shut(batch_id, commits)
        return gate

    def gate_before(self, batch_id: str, event: DagsterEventType) -> Gate:
        """Stop a batch's run before Dagster stores its first event of a kind."""
        gate = Gate(self._dagster_sql, next(self._keys))
        gate.shut(f"{batch_id} {event.value}", 0)
        return gate

    def process_of(self, batch_id: str) -> int:
        """The process that executes the essays of a batch."""
        # The closing work may be asked for before the run has told its end.
        run = next(it for it in self.runs(batch_id) if it.tags[KIND_TAG] == RunKind.ESSAYS)
        events = [it.dagster_event for it in self.dagster.all_logs(run.run_id)]
        said = "\n".join(str(it.message) for it in events if it is not None)
        (*_, pid) = re.findall(r"Started process for .* \(pid: (\d+)\)", said)
        return int(pid)

    def is_in_the_broker(self, batch_id: str) -> bool:
        """Whether the only run of a batch waits there for a worker."""
        # It is called "starting" a moment before it is handed over.
        is_starting = self.statuses(batch_id) == [DagsterRunStatus.STARTING]
        return is_starting and "has been forwarded to the broker" in self.story(batch_id)

    def worker_at(self, batch_id: str) -> Program:
        """The worker that executes the essays of a batch."""
        process = self.process_of(batch_id)
        (found,) = [it for it in self.workers if it.is_alive and it.has(process)]
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatedSite]:
    """Two workers, and a daemon that looks after runs every second."""
    found = GatedSite(tmp_path_factory.mktemp("scale"))
    try:
        found.start(workers=2)
        yield found
    finally:
        found.close()


def assert_complete(site: GatedSite, batch_id: str, *, like: str) -> None:
    """A batch ended as one that nobody disturbed; all of it once."""
    view = site.view(batch_id)
    assert view is not None
    assert (view.received, view.ready, view.rejected) == (ESSAYS, ESSAYS, 0)
    slots = [f"e{number:03d}" for number in range(1, ESSAYS + 1)]
    once = {(slot, stage.value): 1 for slot in slots for stage in Stage}
    assert site.outcomes(batch_id) == once
    assert site.events(batch_id) == site.events(like)
    assert set(site.events(batch_id).values()) == {1}


def shown(site: GatedSite, batch_id: str) -> dict[str, list[str]]:
    """The cells of each asset that Dagster shows as materialized, one for each event."""
    cells = {}
    for stage in Stage:
        found = site.dagster.fetch_materializations(AssetKey(stage.value), limit=1_000)
        partitions = [str(it.partition_key) for it in found.records]
        cells[stage.value] = sorted(it for it in partitions if it.startswith(f"{batch_id}|"))
    return cells


@pytest.mark.slow
def test_a_worker_killed_after_any_number_of_essays_costs_nothing_and_nothing_is_done_twice(
    site: GatedSite,
) -> None:
    site.hand_in("undisturbed", ESSAYS)
    site.wait_until_released("undisturbed")
    gates = {
        f"killed-after-{commits}": site.gate_after(f"killed-after-{commits}", commits)
        for commits in (0, 1, ESSAYS // 2, ESSAYS - 1)
    }
    for name, event in (
        ("before-its-events", DagsterEventType.ASSET_MATERIALIZATION),
        ("before-its-end", DagsterEventType.RUN_SUCCESS),
    ):
        gates[name] = site.gate_before(name, event)
    for batch_id in gates:
        site.hand_in(batch_id, ESSAYS)
    waiting = dict(gates)
    while waiting:
        wait_for(lambda: any(it.waiting for it in waiting.values()), f"a run at one of {waiting}")
        batch_id = next(name for name, it in waiting.items() if it.waiting)
        worker = site.worker_at(batch_id)
        worker.kill()
        waiting.pop(batch_id).open(ending=True)
        site.replace(worker)
    for batch_id in gates:
        site.wait_until_released(batch_id)
    assert not site.dagster.get_runs(RunsFilter(statuses=list(NOT_FINISHED_STATUSES)))
    assert not site.dagster.event_log_storage.get_concurrency_keys()
    for batch_id in gates:
        assert_complete(site, batch_id, like="undisturbed")
        assert shown(site, batch_id) == {
            asset: [cell.replace("undisturbed", batch_id) for cell in cells]
            for asset, cells in shown(site, "undisturbed").items()
        }
        runs = site.runs(batch_id)
        assert {it.status for it in runs} == {DagsterRunStatus.SUCCESS}, site.story(batch_id)
        assert sorted(it.tags[KIND_TAG] for it in runs) == ["closing", "essays"]
        assert not site.attempts(batch_id)


@pytest.mark.slow
def test_a_worker_that_is_told_to_end_finishes_its_run_first(site: GatedSite) -> None:
    gate = site.gate_before("ended-gently", DagsterEventType.STEP_START)
    site.hand_in("ended-gently", ESSAYS)
    wait_for(lambda: gate.waiting, "the run at its gate")
    worker = site.worker_at("ended-gently")
    worker.process.send_signal(signal.SIGTERM)
    # So long that a worker which only fell silent would have been given up.
    with pytest.raises(subprocess.TimeoutExpired):
        worker.process.wait(3 * SILENT_SECONDS)
    gate.open()
    assert worker.process.wait(120) == 0
    site.replace(worker)
    site.wait_until_released("ended-gently")
    assert RESUME_RUN_LOG_MESSAGE not in site.story("ended-gently")
    assert not site.attempts("ended-gently")


@pytest.mark.slow
def test_a_run_goes_on_when_its_process_alone_is_killed(site: GatedSite) -> None:
    gate = site.gate_after("child-killed", 1)
    site.hand_in("child-killed", ESSAYS)
    wait_for(lambda: gate.waiting, "the run at its gate")
    worker = site.worker_at("child-killed")
    os.kill(site.process_of("child-killed"), signal.SIGKILL)
    gate.open(ending=True)
    site.wait_until_released("child-killed")
    assert worker.is_alive
    assert site.story("child-killed").count(RESUME_RUN_LOG_MESSAGE) == 1
    assert not site.attempts("child-killed")


@pytest.mark.slow
def test_a_run_whose_processes_die_twice_fails_and_the_rest_is_done_by_another(
    site: GatedSite,
) -> None:
    site.hand_in("undisturbed-too", ESSAYS)
    gates = [site.gate_after("killed-twice", after) for after in (1, 4)]
    site.hand_in("killed-twice", ESSAYS)
    for gate in gates:
        wait_for(lambda at=gate: at.waiting, "the run at its gate")  # type: ignore[misc]
        os.kill(site.process_of("killed-twice"), signal.SIGKILL)
        gate.open(ending=True)
    site.wait_until_released("killed-twice")
    site.wait_until_released("undisturbed-too")
    assert_complete(site, "killed-twice", like="undisturbed-too")
    of_essays = [it.status for it in site.runs("killed-twice") if it.tags[KIND_TAG] == "essays"]
    assert of_essays == [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]
    assert set(site.attempts("killed-twice")) == {"run failure"}


@pytest.mark.slow
def test_a_run_that_is_terminated_on_the_pages_ends_and_its_essays_are_asked_for_again(
    site: GatedSite,
) -> None:
    pages = site.pages()
    gate = site.gate_after("terminated", 1)
    site.hand_in("terminated", ESSAYS)
    wait_for(lambda: gate.waiting, "the run at its gate")
    worker, process = site.worker_at("terminated"), site.process_of("terminated")
    (run,) = site.runs("terminated")
    assert pages.terminate(run.run_id) == "TerminateRunSuccess"
    gate.open()
    wait_for(lambda: site.status(run.run_id) is DagsterRunStatus.CANCELED, "the run canceled")
    # The process that was interrupted is there for the next run.
    assert worker.has(process)
    site.wait_until_released("terminated")
    assert site.attempts("terminated")
    for slot_and_stage, rows in site.outcomes("terminated").items():
        assert rows == 1, slot_and_stage


@pytest.mark.slow
def test_runs_wait_out_a_broker_that_is_restarted_or_away(site: GatedSite) -> None:
    busy = ["busy-1", "busy-2"]
    gates = [site.gate_before(batch_id, DagsterEventType.STEP_START) for batch_id in busy]
    for batch_id in busy:
        site.hand_in(batch_id, ESSAYS)
    # Both are under way at the same time: no worker holds what another one could do.
    wait_for(lambda: all(it.waiting for it in gates), "both workers at work")
    site.hand_in("queued", ESSAYS)
    wait_for(lambda: site.is_in_the_broker("queued"), "the third waits")
    site.broker.stop()
    site.hand_in("asked-for-meanwhile", ESSAYS)
    wait_for(lambda: "re-submitting the run" in site.story("asked-for-meanwhile"), "it was tried")
    site.broker.start()
    for gate in gates:
        gate.open()
    for batch_id in (*busy, "queued", "asked-for-meanwhile"):
        site.wait_until_released(batch_id)
        assert set(site.statuses(batch_id)) == {DagsterRunStatus.SUCCESS}, site.story(batch_id)
        assert RESUME_RUN_LOG_MESSAGE not in site.story(batch_id)
        assert not site.attempts(batch_id)


@pytest.mark.slow
def test_a_run_that_is_canceled_while_it_waits_for_a_worker_is_never_executed(
    site: GatedSite,
) -> None:
    busy = ["working-1", "working-2"]
    gates = [site.gate_before(batch_id, DagsterEventType.STEP_START) for batch_id in busy]
    for batch_id in busy:
        site.hand_in(batch_id, ESSAYS)
    wait_for(lambda: all(it.waiting for it in gates), "both workers at work")
    site.hand_in("waiting", ESSAYS)
    wait_for(lambda: site.is_in_the_broker("waiting"), "the third waits")
    (run,) = site.runs("waiting")
    # Dagster's pages ask for force before a run has started.
    assert site.pages().terminate(run.run_id, force=True) == "TerminateRunSuccess"
    assert site.status(run.run_id) is DagsterRunStatus.CANCELED
    for gate in gates:
        gate.open()
    for batch_id in (*busy, "waiting"):
        site.wait_until_released(batch_id)
    assert site.status(run.run_id) is DagsterRunStatus.CANCELED
    kinds = {it.dagster_event_type for it in site.dagster.all_logs(run.run_id)}
    assert DagsterEventType.RUN_START not in kinds


@pytest.mark.slow
def test_the_password_of_the_broker_is_in_no_file_and_no_log(site: GatedSite) -> None:
    assert site.logs()
    for path in [*site.folder.glob("*.log"), *site.folder.glob("*/dagster/*.yaml")]:
        assert "broker-secret" not in path.read_text(errors="replace"), path
