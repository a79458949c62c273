"""Defects that a review found in healing: work that is done and that Dagster does not show."""

import json
from collections.abc import Iterator, Sequence

import pytest
from dagster import AssetKey, AssetMaterialization, DagsterRunStatus, MaterializeResult
from dagster._core.test_utils import create_run_for_test

from huleedu_dagster.assets import batches
from huleedu_dagster.assets.emission import BatchEmission
from huleedu_dagster.assets.shown import shown_data_version
from huleedu_dagster.domain.completeness import BatchStatus, ClosedBy
from huleedu_dagster.domain.ids import ContentType
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.pipeline.essays import EssayResult
from huleedu_dagster.pipeline.lifecycle import change_settings, close, dead_letters
from huleedu_dagster.pipeline.reprocessing import reprocess
from huleedu_dagster.pipeline.results import StoredResult
from huleedu_dagster.resources.pages import IntakePagesResource
from tests.dagster.test_acceptance import BATCH_ASSETS, ESSAY_ASSETS, essays
from tests.dagster.test_backfills import LAUNCH, ready_batch
from tests.dagster.test_staleness import staleness, status
from tests.support.evaluating import evaluate
from tests.support.runs import begun, die
from tests.support.world import World

CELLS = [f"b1|e00{number}" for number in (1, 2, 3)]
ALWAYS = 1_000_000


def lose_events(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Let so many waves fail after they are computed, before Dagster has their events."""
    events = BatchEmission.events
    left = [times]

    def failing(
        self: BatchEmission, results: Sequence[EssayResult]
    ) -> Iterator[AssetMaterialization]:
        if left[0]:
            left[0] -= 1
            raise RuntimeError("the storage of events is away")
        yield from events(self, results)

    monkeypatch.setattr(BatchEmission, "events", failing)


def test_essays_whose_events_were_lost_are_shown_by_the_next_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_events(monkeypatch, times=1)
    world.register("b1", expected=3)
    world.hand_in("b1", essays(3))
    world.settle()

    assert world.view("b1").status is BatchStatus.READY
    for asset in ESSAY_ASSETS:
        assert world.materialized(asset) == set(CELLS)


def test_events_that_are_always_lost_end_the_asking_after_the_last_attempt(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_events(monkeypatch, times=ALWAYS)
    world.register("b1", expected=1)
    world.hand_in("b1", essays(1))
    world.settle(most=20)

    assert world.view("b1").status is BatchStatus.READY
    assert len(world.runs("process_essays")) == world.settings.max_attempts
    assert dead_letters(world.ledger) == []


def test_emitting_again_computes_nothing_with_settings_that_changed_since(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_events(monkeypatch, times=1)
    world.register("b1")
    world.hand_in("b1", essays(2))
    world.tick()
    rows = world.rows()["stage_outcomes"]
    assert world.view("b1").essays[0].misspellings == 1

    change_settings(world.ledger, "b1", BatchSettings(word_list=("teh",)))
    world.settle()

    assert world.materialized("spellcheck_result") == {"b1|e001", "b1|e002"}
    assert world.rows()["stage_outcomes"] == rows
    assert world.view("b1").essays[0].misspellings == 1


def test_emitting_again_computes_nothing_with_code_that_is_new_since(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_events(monkeypatch, times=1)
    world.register("b1")
    world.hand_in("b1", essays(2))
    world.tick()
    rows = world.rows()["stage_outcomes"]

    world.setting("SPELLING_REVISION", "2")
    world.reload()
    world.settle()

    assert world.materialized("spellcheck_result") == {"b1|e001", "b1|e002"}
    assert world.rows()["stage_outcomes"] == rows
    assert staleness(world, "b1|e001")["spellcheck_result"] == "STALE"


def test_a_backfill_whose_events_were_lost_is_shown_by_the_next_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready_batch(world)
    change_settings(world.ledger, "b1", BatchSettings(word_list=("teh",)))
    world.settle()
    lose_events(monkeypatch, times=1)
    assets = [{"path": [it]} for it in ESSAY_ASSETS]
    answer = world.graphql(LAUNCH, p={"assetSelection": assets, "partitionNames": CELLS})
    launched = answer["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    world.daemon.run_backfills()
    world.settle()

    assert world.view("b1").essays[0].misspellings == 0
    for cell in CELLS:
        assert set(staleness(world, cell).values()) == {"FRESH"}


def test_a_batch_whose_essays_were_emitted_again_is_fresh(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_events(monkeypatch, times=1)
    world.register("b1", expected=2)
    world.hand_in("b1", essays(2))
    world.settle()

    assert {it: status(world, it, "b1") for it in BATCH_ASSETS} == dict.fromkeys(
        BATCH_ASSETS, "FRESH"
    )


def test_a_run_that_was_cancelled_before_it_started_is_asked_for_again(world: World) -> None:
    world.register("b1", expected=1)
    world.hand_in("b1", essays(1))
    (key,) = evaluate(world, "upload_sensor")
    create_run_for_test(
        world.instance,
        job_name="process_essays",
        status=DagsterRunStatus.CANCELED,
        run_config={"ops": {"essays": {"config": {"slots": ["e001"]}}}},
        tags={
            "dagster/run_key": str(key),
            "dagster/sensor_name": "upload_sensor",
            "huleedu/batch": "b1",
            "huleedu/kind": "essays",
        },
    )
    world.settle()

    assert world.view("b1").status is BatchStatus.READY


def test_a_report_that_fails_once_is_written_by_the_next_run(world: World) -> None:
    world.register("b1", expected=2)
    world.hand_in("b1", essays(1))
    close(world.ledger, "b1", ClosedBy.REQUEST)
    world.blobs.fail("put", "batch_report", times=1)
    world.settle()

    assert world.view("b1").status is BatchStatus.INCOMPLETE
    assert world.materialized("batch_report") == {"b1"}
    assert dead_letters(world.ledger) == []


def test_a_report_whose_event_was_lost_is_shown_by_the_next_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = batches._result
    lost: list[str] = []

    def failing(
        name: str, stored: StoredResult, pages: IntakePagesResource
    ) -> MaterializeResult[None]:
        if name == batches.REPORT and not lost:
            lost.append(name)
            raise RuntimeError("the storage of events is away")
        return make(name, stored, pages)

    monkeypatch.setattr(batches, "_result", failing)
    world.register("b1", expected=2)
    world.hand_in("b1", essays(1))
    close(world.ledger, "b1", ClosedBy.REQUEST)
    world.settle()

    assert lost == [batches.REPORT]
    assert world.view("b1").status is BatchStatus.INCOMPLETE
    assert world.materialized("batch_report") == {"b1"}


def told(world: World) -> tuple[int, int]:
    """How many essays the stored report says are ready, and how many rejected."""
    with world.ledger.read() as tx:
        key = tx.results.latest_blob("b1", ContentType.BATCH_REPORT_JSON)
    assert key is not None
    report = json.loads((world.settings.blob_folder / key).read_bytes())
    return report["ready"], report["rejected"]


def test_facts_that_come_back_are_reported_and_shown_again(world: World) -> None:
    world.register("b1", expected=3)
    world.hand_in("b1", essays(2))
    close(world.ledger, "b1", ClosedBy.REQUEST)
    world.settle()
    first = {it: shown_data_version(world.instance, AssetKey(it), "b1") for it in BATCH_ASSETS}
    assert told(world) == (2, 0)

    for settings, expected in ((BatchSettings(min_words=500), (0, 2)), (BatchSettings(), (2, 0))):
        change_settings(world.ledger, "b1", settings)
        reprocess(world.ledger, "b1")
        world.settle()
        assert world.view("b1").status is BatchStatus.INCOMPLETE
        assert told(world) == expected

    again = {it: shown_data_version(world.instance, AssetKey(it), "b1") for it in BATCH_ASSETS}
    assert again == first
    assert len(world.runs("finalise_batch")) == 3
    assert evaluate(world, "batch_sensor") == []


def test_what_an_older_run_tells_last_does_not_stay(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready_batch(world, count=1)
    events, overtaken = BatchEmission.events, list[bool]()

    def late(self: BatchEmission, results: Sequence[EssayResult]) -> Iterator[AssetMaterialization]:
        if not overtaken:
            overtaken.append(True)
            change_settings(world.ledger, "b1", BatchSettings(word_list=("teh",)))
            assert world.materialize(ESSAY_ASSETS, CELLS[0]).success
        yield from events(self, results)

    monkeypatch.setattr(BatchEmission, "events", late)
    assert world.materialize(ESSAY_ASSETS, CELLS[0]).success
    world.settle()

    with world.ledger.read() as tx:
        stored = {it.stage.value: it.data_version for it in tx.outcomes.current("b1", "e001")}
    shown = {it: shown_data_version(world.instance, AssetKey(it), CELLS[0]) for it in ESSAY_ASSETS}
    assert overtaken
    assert shown == stored
    assert set(staleness(world, CELLS[0]).values()) == {"FRESH"}


def test_closing_work_that_died_after_all_of_it_was_shown_is_not_done_again(world: World) -> None:
    world.register("b1", expected=1)
    world.hand_in("b1", essays(1))
    world.settle()
    runs = len(world.runs())
    die(world, begun(world, "b1"))

    world.settle()

    with world.ledger.read() as tx:
        assert tx.batches.get("b1").attempts == 0
    assert len(world.runs()) == runs + 1
