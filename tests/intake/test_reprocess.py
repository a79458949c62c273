"""Essays that are worked over again on demand, through real sensors."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.extraction.port import Extraction
from huleedu_dagster.extraction.sandbox import SandboxedExtractor
from huleedu_dagster.ledger.tables import essays as essay_rows
from huleedu_dagster.ledger.tables import metadata
from huleedu_dagster.pipeline.essays import EssayPipeline
from huleedu_dagster.pipeline.lifecycle import close, dead_letters
from huleedu_dagster.pipeline.reprocessing import is_reprocessing, reprocess
from tests.dagster.test_acceptance import essays
from tests.dagster.test_staleness import staleness
from tests.intake.flow import Flow, flowing
from tests.support.fakes import CheapSpeller
from tests.support.world import World

SLOTS = ("e001", "e002", "e003")
RESULTS = (
    "stage_outcomes",
    "current_outcomes",
    "outbox",
    "releases",
    "batch_results",
    "uploads",
    "batches",
)


@pytest.fixture
def flow(world: World) -> Iterator[Flow]:
    """A world behind its intake."""
    with flowing(world) as found:
        yield found


def ready(flow: Flow, count: int = 3) -> str:
    """A released batch; gives its id."""
    batch_id = flow.drop(essays(count)).batch_id
    flow.world.settle()
    assert flow.batch(batch_id)["status"] == "ready"
    return batch_id


def ask_again(flow: Flow, batch_id: str, slot: str = "e001") -> dict[str, Any]:
    """Ask for an essay to be worked over again; gives its line."""
    answer = flow.teacher.post(f"/v1/batches/{batch_id}/essays/{slot}/reprocess")
    assert answer.status_code == 202, answer.text
    line: dict[str, Any] = answer.json()
    return line


def stored(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of results and events."""
    with world.ledger.read() as tx:
        return {
            name: sorted(
                map(tuple, tx.connection.execute(sa.select(metadata.tables[name]))), key=str
            )
            for name in RESULTS
        }


def revisions(world: World) -> list[int]:
    """The revisions that were released."""
    return [it["data"]["revision"] for it in world.events("batch.essays.ready")]


def test_the_same_code_changes_no_result_and_no_event_and_dagster_shows_it_again(
    flow: Flow,
) -> None:
    world = flow.world
    batch_id = ready(flow)
    before, blobs = stored(world), world.blob_keys()
    shown = world.materialization_count("spellcheck_result", f"{batch_id}|e001")
    world.clock.advance(60)

    line = ask_again(flow, batch_id)

    assert line == flow.batch(batch_id)["essays"][0]
    assert flow.batch(batch_id)["status"] == "ready", "it stays settled until there is news"
    world.settle()
    assert stored(world) == before
    assert world.blob_keys() == blobs
    cells = [f"{batch_id}|{slot}" for slot in SLOTS]
    counted = [world.materialization_count("spellcheck_result", it) for it in cells]
    assert counted == [shown + 1, shown, shown]
    assert set(staleness(world, cells[0]).values()) == {"FRESH"}
    assert not is_reprocessing(world.ledger, batch_id)


def test_a_new_spelling_revision_is_computed_from_stored_text_and_equal_results_stay_released(
    flow: Flow,
) -> None:
    world = flow.world
    batch_id = ready(flow)
    received = [it["versions"] for it in (flow.essay(batch_id, slot) for slot in SLOTS)]
    world.setting("SPELLING_REVISION", "2")
    world.reload()
    reads = world.blobs.reads["raw_upload_blob"]

    assert reprocess(world.ledger, batch_id) == SLOTS
    world.settle()

    assert flow.batch(batch_id)["status"] == "ready"
    for slot in SLOTS:
        found = flow.essay(batch_id, slot)
        assert found["stages"][-1]["code_version"].endswith("revision 2")
        assert set(staleness(world, f"{batch_id}|{slot}").values()) == {"FRESH"}
    assert [it["versions"] for it in (flow.essay(batch_id, slot) for slot in SLOTS)] == received
    assert world.blobs.reads["raw_upload_blob"] == reads, "only what has no result is computed"
    assert revisions(world) == [1], "the results are the same under the new code"


def test_results_that_change_are_released_as_the_next_revision(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = flow.world
    batch_id = ready(flow)
    stricter = CheapSpeller(frozenset({"teh", "ships"}), version="stricter")
    monkeypatch.setattr("tests.support.world_defs.CheapSpeller", lambda: stricter)
    world.reload()
    before = flow.batch(batch_id)["essays"][0]["misspellings"]

    ask_again(flow, batch_id)
    world.settle()

    found = flow.batch(batch_id)
    assert found["status"] == "ready"
    assert [it["misspellings"] for it in found["essays"]] == [before + 1, before, before]
    assert revisions(world) == [1, 2]


def test_an_essay_that_timed_out_is_tried_again(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract, timeouts = SandboxedExtractor.extract, [1]

    def slow_once(self: SandboxedExtractor, data: bytes, suffix: str) -> Extraction:
        if timeouts:
            timeouts.pop()
            return Extraction(code=Code.TIMEOUT, transient=True)
        return extract(self, data, suffix)

    monkeypatch.setattr(SandboxedExtractor, "extract", slow_once)
    batch_id = flow.drop(essays(1)).batch_id
    flow.world.settle()
    assert flow.batch(batch_id)["essays"][0]["code"] == "TIMEOUT"

    assert ask_again(flow, batch_id)["outcome"] == "rejected"
    flow.world.settle()

    found = flow.batch(batch_id)
    assert (found["status"], found["ready"], found["rejected"]) == ("ready", 1, 0)
    assert revisions(flow.world) == [1, 2]


def test_a_dead_letter_is_replayed(flow: Flow) -> None:
    world = flow.world
    world.blobs.fail("get", "raw_upload_blob", times=world.settings.max_attempts)
    batch_id = flow.drop(essays(1)).batch_id
    world.settle()
    assert flow.batch(batch_id)["dead_lettered"] == 1

    assert ask_again(flow, batch_id)["outcome"] == "pending"
    world.settle()

    assert dead_letters(world.ledger) == []
    assert flow.batch(batch_id)["status"] == "ready"


def test_an_essay_that_waits_already_goes_on_waiting(flow: Flow) -> None:
    batch_id = flow.drop(essays(1)).batch_id
    with flow.world.ledger.read() as tx:
        before = tx.essays.in_slot(batch_id, "e001")
    assert ask_again(flow, batch_id)["outcome"] == "pending"
    with flow.world.ledger.read() as tx:
        assert tx.essays.in_slot(batch_id, "e001") == before


def test_what_fails_while_it_is_worked_over_keeps_its_outcome(flow: Flow) -> None:
    world = flow.world
    batch_id = ready(flow, count=1)
    world.setting("SPELLING_REVISION", "2")
    world.reload()
    world.blobs.fail("get", "extracted_plaintext")
    before = stored(world)

    ask_again(flow, batch_id)
    world.settle(most=20)

    assert flow.batch(batch_id)["status"] == "ready"
    assert stored(world) == before
    assert dead_letters(world.ledger) == []
    assert not is_reprocessing(world.ledger, batch_id), "it is not tried for ever"


def test_what_is_asked_during_a_run_is_done_by_the_next(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = flow.world
    batch_id = ready(flow, count=1)
    asked = [1]
    mark_shown = EssayPipeline.mark_shown

    def ask_before(self: EssayPipeline, *args: Any) -> None:
        if asked:
            asked.pop()
            reprocess(world.ledger, batch_id)
        mark_shown(self, *args)

    ask_again(flow, batch_id)
    monkeypatch.setattr(EssayPipeline, "mark_shown", ask_before)
    runs = len(world.runs("process_essays"))
    world.settle()

    assert len(world.runs("process_essays")) == runs + 2
    with world.ledger.read() as tx:
        columns = (essay_rows.c.due, essay_rows.c.reprocess)
        assert tuple(tx.connection.execute(sa.select(*columns)).one()) == (False, None)


def test_an_incomplete_batch_stays_incomplete(flow: Flow) -> None:
    world = flow.world
    batch_id = flow.drop(essays(1), expected=2).batch_id
    close(world.ledger, batch_id, ClosedBy.REQUEST)
    world.settle()
    before = stored(world)
    ask_again(flow, batch_id)
    world.settle()
    assert flow.batch(batch_id)["status"] == "incomplete"
    assert stored(world) == before


def test_only_the_owner_and_operators_ask_and_only_for_essays(flow: Flow) -> None:
    batch_id = ready(flow, count=1)
    url = f"/v1/batches/{batch_id}/essays/{{}}/reprocess"
    for slot in ("e002", "e0001", "x", "%00"):
        answer = flow.teacher.post(url.format(slot))
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND"), slot
    assert flow.operator.post(url.format("e001")).status_code == 202
    unknown = flow.operator.post("/v1/batches/nothing/essays/e001/reprocess")
    assert unknown.status_code == 404
