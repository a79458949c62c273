"""A process that is killed while events wait in memory leaves nothing reported that is not stored.

Each test kills a real process in the middle of a run, looks at what it left, and lets the next
attempt go on.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.domain.outcomes import Stage
from tests.support.storage_crash import line
from tests.support.world import GOOD, World
from tests.support.worlds import world_on

pytestmark = pytest.mark.slow

_PROGRAM = "tests.support.storage_crash"
_ESSAYS = ("one", "two", "three")
_CELLS = {"b1|e001", "b1|e002", "b1|e003"}
_PLANNED = 12
_INDEXED = {"ASSET_MATERIALIZATION", "ASSET_MATERIALIZATION_PLANNED"}
# Of a run: planned events, seven of its start, then the materializations of each stage.
_MOMENTS = [
    ("stored", 5),
    ("stored", 12),
    ("stored", 20),
    ("stored", 23),
    ("stored", 26),
    ("stored", 29),
    ("stored", 32),
    ("stored", 33),
    ("write", 1),
    ("write", 3),
    ("index", 2),
    ("index", 4),
]


@pytest.fixture(params=["sqlite", "postgres"])
def world(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """An installation with Dagster's events on a kind of database."""
    with world_on(request.param, tmp_path / "home", monkeypatch) as found:
        yield found


@pytest.mark.parametrize(("moment", "number"), _MOMENTS)
def test_what_a_killed_run_did_not_store_is_emitted_by_the_next_without_computing(
    moment: str, number: int, world: World, tmp_path: Path
) -> None:
    world.register("b1", expected=len(_ESSAYS))
    world.hand_in("b1", {f"{it}/essay.txt": f"{GOOD} {it}".encode() for it in _ESSAYS})
    journal = tmp_path / "journal"

    command = [sys.executable, "-m", _PROGRAM, str(journal), moment, str(number)]
    died = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert died.returncode == -9, died.stderr.decode()

    (run,) = world.runs("process_essays")
    emitted = emitted_by(journal, run.run_id)
    stored = [line(it) for it in world.instance.all_logs(run.run_id)]
    assert stored == emitted[: len(stored)], "what is stored is a part without gaps"
    indexed = index_of(world.instance, run.run_id)
    assert indexed == [it for it in stored if it[0] in _INDEXED][: len(indexed)]
    after = [it for it in stored if it[0] not in _INDEXED]
    assert not after or len(indexed) >= _PLANNED, "a step began before its plan was stored"
    assert run.status is not DagsterRunStatus.SUCCESS
    computed = outcomes(world)

    world.daemon.fail_orphans()
    world.settle()

    for stage in Stage:
        assert world.materialized(stage.value) == _CELLS
    assert computed.items() <= outcomes(world).items(), "something was computed again"
    assert len(outcomes(world)) == len(_CELLS) * len(Stage)
    # What is computed is read once, what is stored is not read.
    done = sum(key[1] == Stage.EXTRACTED_PLAINTEXT.value for key in computed)
    assert world.blobs.reads["raw_upload_blob"] == len(_CELLS) - done
    assert world.view("b1").status is BatchStatus.READY
    assert {it.status for it in world.runs("process_essays")} == {
        DagsterRunStatus.FAILURE,
        DagsterRunStatus.SUCCESS,
    }


def emitted_by(journal: Path, run_id: str) -> list[list[str | None]]:
    found = [json.loads(it) for it in journal.read_text().splitlines()]
    return [it[1:] for it in found if it[0] == run_id]


def index_of(instance: DagsterInstance, run_id: str) -> list[list[str | None]]:
    """Events of a run as pages of assets see them, in their order."""
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    query = sa.text(
        "SELECT dagster_event_type, asset_key, partition FROM event_logs "
        "WHERE run_id = :run AND asset_key IS NOT NULL ORDER BY id"
    )
    with storage.index_connection() as connection:
        rows: Sequence[sa.Row[tuple[str, str, str]]] = connection.execute(
            query, {"run": run_id}
        ).all()
    return [[kind, "/".join(json.loads(key)), partition] for kind, key, partition in rows]


def outcomes(world: World) -> dict[tuple[str, str], tuple[str, str]]:
    """What was computed, and when, of each slot and stage."""
    query = sa.text("SELECT slot, stage, materialization_key, recorded_at FROM stage_outcomes")
    with world.ledger.read() as tx:
        return {
            (slot, stage): (key, str(at)) for slot, stage, key, at in tx.connection.execute(query)
        }
