"""A run works on two essays at the same time."""

import threading
from collections.abc import Iterable, Iterator, Sequence

import pytest
from dagster import AssetMaterialization

from huleedu_dagster.assets.emission import BatchEmission
from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.domain.ids import ContentType
from huleedu_dagster.pipeline.essays import EssayResult
from huleedu_dagster.storage.port import BlobStore, BlobWriter
from tests.dagster.test_acceptance import essays
from tests.support import world_defs
from tests.support.world import World


class MeetingStore:
    """A store in which a raw blob is read only when a second reader is there."""

    def __init__(self, inner: BlobStore) -> None:
        self._inner = inner
        self._readers = threading.Barrier(2, timeout=60)

    def put(self, key: str, data: bytes) -> None:
        """See `BlobStore.put`."""
        self._inner.put(key, data)

    def writer(self, key: str) -> BlobWriter:
        """See `BlobStore.writer`."""
        return self._inner.writer(key)

    def secure(self, keys: Iterable[str]) -> None:
        """See `BlobStore.secure`."""
        self._inner.secure(keys)

    def get(self, key: str, sha256: str) -> bytes:
        """See `BlobStore.get`."""
        if key.startswith(ContentType.RAW_UPLOAD_BLOB.value):
            self._readers.wait()
        return self._inner.get(key, sha256)

    def pieces(self, key: str, sha256: str) -> Iterator[bytes]:
        """See `BlobStore.pieces`."""
        return self._inner.pieces(key, sha256)

    def has(self, key: str) -> bool:
        """See `BlobStore.has`."""
        return self._inner.has(key)

    def keys(self, prefix: str) -> Iterator[str]:
        """See `BlobStore.keys`."""
        return self._inner.keys(prefix)


def test_two_essays_of_a_run_are_worked_on_at_the_same_time(world: World) -> None:
    world_defs.use(world.ledger, MeetingStore(world.blobs))
    world.register("b1", expected=2)
    world.hand_in("b1", essays(2))
    world.settle()
    assert (world.view("b1").status, world.view("b1").ready) == (BatchStatus.READY, 2)


def test_essays_are_shown_in_the_order_of_their_slots_whichever_ends_first(world: World) -> None:
    world.register("b1", expected=9)
    world.hand_in("b1", essays(9))
    world.settle()
    (run,) = world.runs("process_essays")
    records = world.instance.all_logs(run.run_id)
    shown = [
        str(event.partition)
        for entry in records
        if (event := entry.get_dagster_event() if entry.is_dagster_event else None) is not None
        and event.is_step_materialization
        and event.asset_key is not None
        and event.asset_key.to_user_string() == "raw_upload"
    ]
    assert shown == [f"b1|e00{number}" for number in range(1, 10)]


def test_the_next_essays_are_worked_on_while_events_are_written_and_not_all_of_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = threading.Event()
    read: list[str] = []
    seen: list[int] = []
    get, events = world.blobs.get, BatchEmission.events

    def noted_get(key: str, sha256: str) -> bytes:
        if key.startswith(ContentType.RAW_UPLOAD_BLOB.value):
            read.append(key)
            if len(read) == 2:
                second.set()
        return get(key, sha256)

    def waiting_events(
        emission: BatchEmission, results: Sequence[EssayResult]
    ) -> Iterator[AssetMaterialization]:
        assert second.wait(60), "nobody goes on with the second essay"
        seen.append(len(read))
        return events(emission, results)

    monkeypatch.setattr("huleedu_dagster.assets.essays._WAVE", 1)
    monkeypatch.setattr(world.blobs, "get", noted_get)
    monkeypatch.setattr(BatchEmission, "events", waiting_events)
    world.register("b1", expected=4)
    world.hand_in("b1", essays(4))
    world.settle()
    assert world.view("b1").status is BatchStatus.READY
    assert all(begun <= shown + 1 for shown, begun in enumerate(seen, start=1)), seen
