"""A class that is handed in again: nothing is launched, written, told or kept a second time."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from huleedu_dagster.pipeline.intake import ReceiptStatus
from huleedu_dagster.sensors.tags import slots_of
from tests.dagster.test_acceptance import essays
from tests.support.evaluating import evaluate
from tests.support.fakes import FlakyBlobWriter
from tests.support.ledger import facts
from tests.support.world import World

SENSORS = ("upload_sensor", "batch_sensor")


@contextmanager
def nothing_is_written(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Refuse to begin a blob in the store of a world, even one that is not kept."""

    def refuse(key: str) -> FlakyBlobWriter:
        raise AssertionError("the store was asked to take bytes")

    with monkeypatch.context() as patched:
        patched.setattr(world.blobs, "writer", refuse)
        yield


def test_a_class_handed_in_again_launches_and_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.register("b1", expected=3)
    files = essays(3)
    world.hand_in("b1", files)
    world.settle()
    rows, blobs, runs = facts(world.ledger), world.blob_keys(), world.daemon.run_count()
    events = world.instance.event_log_storage.get_maximum_record_id()

    with nothing_is_written(world, monkeypatch):
        receipts = world.hand_in("b1", files)

    assert [it.status for it in receipts] == [ReceiptStatus.UNCHANGED] * 3
    assert [evaluate(world, it) for it in SENSORS] == [[], []]
    world.tick(times=2)
    assert world.daemon.run_count() == runs
    assert world.instance.event_log_storage.get_maximum_record_id() == events
    assert facts(world.ledger) == rows
    assert world.blob_keys() == blobs


def test_only_what_differs_of_a_class_handed_in_again_is_worked_on(world: World) -> None:
    world.register("b1", expected=3)
    files = essays(3)
    world.hand_in("b1", files)
    world.settle()
    world.blobs.reads.clear()

    path = "student-2/essay.txt"
    receipts = world.hand_in("b1", {**files, path: files[path] + b" With a better ending."})
    world.settle()

    assert [it.status for it in receipts] == [
        ReceiptStatus.UNCHANGED,
        ReceiptStatus.NEW_VERSION,
        ReceiptStatus.UNCHANGED,
    ]
    again, _ = world.runs("process_essays")
    assert slots_of(again) == ["e002"]
    assert world.blobs.reads["raw_upload_blob"] == 1
