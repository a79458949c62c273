"""Batches that were released long ago leave Dagster's pages, and come back when there is news."""

from datetime import timedelta

import pytest
from dagster import DagsterInstance, DagsterRunStatus

from huleedu_dagster.domain.actions import Action
from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.orchestration.archiving import archive
from huleedu_dagster.pipeline.lifecycle import change_settings, close
from huleedu_dagster.pipeline.reprocessing import reprocess
from tests.dagster.test_acceptance import ESSAY_ASSETS, essays
from tests.support.ledger import all_rows
from tests.support.pages import STATISTICS
from tests.support.world import World

DAY = 86_400


def shown(world: World) -> set[str]:
    """Batches that Dagster's pages show."""
    return set(world.instance.get_dynamic_partitions("batch"))


def archive_older(world: World, days: float) -> list[str]:
    """Archive what was released so many days ago, twice: the second time finds nothing."""
    before = world.clock.now - timedelta(days=days)
    found = archive(world.instance, world.ledger, before)
    assert archive(world.instance, world.ledger, before) == []
    return found


def released(world: World, batch: str) -> None:
    """Take a class of two through to its release."""
    world.register(batch, expected=2)
    world.hand_in(batch, essays(2))
    world.settle()


def test_only_batches_released_long_ago_leave_and_nothing_stored_of_them_does(
    world: World,
) -> None:
    released(world, "old")
    world.register("open", expected=3)
    world.hand_in("open", essays(2))
    world.register("incomplete", expected=3)
    world.hand_in("incomplete", essays(2))
    close(world.ledger, "incomplete")
    world.settle()
    world.clock.advance(30 * DAY)
    released(world, "new")
    world.clock.advance(2 * DAY)
    told = {"actions": 0}
    before = (world.rows() | told, world.blob_keys(), world.view("old"))

    assert archive_older(world, 3) == ["old"]

    assert shown(world) == {"open", "incomplete", "new"}
    assert (world.rows() | told, world.blob_keys(), world.view("old")) == before
    archived = [it for it in all_rows(world.ledger)["actions"] if it["action"] == Action.ARCHIVED]
    assert [it["batch_id"] for it in archived] == ["old"]
    assert world.materialization_count("spellcheck_result", "old|e001") == 1
    (node,) = world.graphql(STATISTICS, assetKeys=[{"path": ["raw_upload"]}])["assetNodes"]
    assert (node["partitionStats"]["numMaterialized"], node["partitionStats"]["numPartitions"]) == (
        6,
        6,
    )
    world.tick(times=2)
    assert shown(world) == {"open", "incomplete", "new"}, "no sensor adds it again"


def test_an_archived_batch_comes_back_with_a_late_file(world: World) -> None:
    released(world, "old")
    world.clock.advance(30 * DAY)
    assert archive_older(world, 3) == ["old"]

    world.hand_in("old", {"late.txt": b"This one came a month after all the others of its class."})
    world.settle()

    assert shown(world) == {"old"}
    assert world.view("old").excess == 1
    assert all(run.status is DagsterRunStatus.SUCCESS for run in world.runs())


def test_an_archived_batch_comes_back_to_be_worked_over_again_or_with_other_settings(
    world: World,
) -> None:
    for batch in ("one", "two"):
        released(world, batch)
    world.clock.advance(30 * DAY)
    assert archive_older(world, 3) == ["one", "two"]

    reprocess(world.ledger, "one")
    change_settings(world.ledger, "two", BatchSettings(max_words=500))
    assert archive_older(world, 3) == [], "there is something to do"
    world.settle()

    assert shown(world) == {"one", "two"}
    assert world.view("one").status is BatchStatus.READY
    for asset in ESSAY_ASSETS:
        assert "one|e001" in world.materialized(asset)
    assert all(run.status is DagsterRunStatus.SUCCESS for run in world.runs())


def test_a_batch_of_which_there_is_news_while_it_is_archived_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for batch in ("one", "two"):
        released(world, batch)
    world.clock.advance(30 * DAY)
    delete = DagsterInstance.delete_dynamic_partition

    def delete_after_news(instance: DagsterInstance, dimension: str, batch: str) -> None:
        if batch == "one":
            reprocess(world.ledger, batch)
        delete(instance, dimension, batch)

    with monkeypatch.context() as patch:
        patch.setattr(DagsterInstance, "delete_dynamic_partition", delete_after_news)
        assert archive_older(world, 3) == ["two"]
    assert shown(world) == {"one"}, "a sensor that saw it may have asked for its runs"
    world.settle()
    assert world.view("one").status is BatchStatus.READY
    assert all(run.status is DagsterRunStatus.SUCCESS for run in world.runs())
