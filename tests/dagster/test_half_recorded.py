"""Runs of essays that recorded failures of their own, and how they ended."""

from typing import Any

import pytest
from dagster import AssetKey

from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.ledger.records import Essay
from huleedu_dagster.pipeline.essays import EssayPipeline, record_attempt
from tests.dagster.test_acceptance import ESSAY_ASSETS, essays
from tests.support.evaluating import evaluate
from tests.support.runs import begun, die
from tests.support.world import World


def dead_run(world: World, *slots: str) -> str:
    """A run of essays that the sensor asked for, and that was killed; returns its id."""
    (key,) = evaluate(world, "upload_sensor")
    run = begun(world, "b1", *slots, key=key)
    die(world, run)
    return run.run_id


def record_failure(world: World, slot: str, run_id: str) -> None:
    """Record what a run recorded itself."""
    assert not record_attempt(
        world.ledger, "b1", slot, run_id=run_id, reason="OSError", max_attempts=3
    )


def test_a_run_that_died_after_it_recorded_a_failure_of_an_essay_that_is_done_is_counted(
    world: World,
) -> None:
    world.register("b1", expected=3)
    files = essays(3)
    world.hand_in("b1", files)
    world.settle()
    paths = list(files)
    for path in (paths[0], paths[2]):
        world.hand_in("b1", {path: files[path] + b" And it was good."})
    # It covers e002 too, which is done and could not be read.
    record_failure(world, "e002", dead_run(world, "e001", "e003"))
    world.settle()

    assert world.view("b1").status is BatchStatus.READY
    assert world.rows()["attempts"] == 3
    assert world.materialization_count("spellcheck_result", "b1|e001") == 2


def test_what_a_dead_run_had_told_is_told_again_though_it_recorded_a_failure(
    world: World,
) -> None:
    world.register("b1", expected=2)
    world.hand_in("b1", essays(2))
    run_id = dead_run(world, "e001", "e002")
    # As after a power cut: the ledger has what the run did, Dagster lost what it was told last.
    world.instance.add_dynamic_partitions("batch", ["b1"])
    world.instance.add_dynamic_partitions("essay", ["e001"])
    assert world.execute("process_essays", first="b1|e001", last="b1|e001").success
    world.instance.wipe_assets([AssetKey(it) for it in ESSAY_ASSETS])
    record_failure(world, "e002", run_id)
    world.settle()

    assert world.view("b1").status is BatchStatus.READY
    for asset in ESSAY_ASSETS:
        assert world.materialized(asset) == {"b1|e001", "b1|e002"}


def test_a_run_that_ended_by_itself_counts_only_for_the_essays_that_failed(world: World) -> None:
    world.register("b1", expected=3)
    world.hand_in("b1", essays(3))
    world.blobs.fail("put", "spellcheck_result/b1/e002", times=1)
    world.settle()

    assert world.view("b1").status is BatchStatus.READY
    assert world.rows()["attempts"] == 1
    assert world.materialization_count("spellcheck_result", "b1|e001") == 1
    second, _ = world.runs("process_essays")
    config: Any = second.run_config
    assert config["ops"]["essays"]["config"]["slots"] == ["e002"]


def test_a_failure_that_a_run_could_not_record_is_counted_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.register("b1", expected=3)
    world.hand_in("b1", essays(3))
    for slot in ("e001", "e002"):
        world.blobs.fail("put", f"spellcheck_result/b1/{slot}", times=1)
    record = EssayPipeline.record_failure

    def forgetful(self: EssayPipeline, essay: Essay, **more: Any) -> bool:
        if essay.slot == "e001":
            raise OSError("the ledger is away")
        return record(self, essay, **more)

    monkeypatch.setattr(EssayPipeline, "record_failure", forgetful)
    world.settle()

    assert world.view("b1").status is BatchStatus.READY
    with world.ledger.read() as tx:
        (run, *_) = reversed(world.runs("process_essays"))
        assert tx.failures.counted(run.run_id) == {"e001", "e002"}
    assert world.materialization_count("spellcheck_result", "b1|e003") == 1
