"""The inbox bucket: the rules of the inbox folder, on a real server."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from minio.error import S3Error
from urllib3 import HTTPResponse

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.pipeline.inbox import Inbox
from huleedu_dagster.pipeline.inbox_bucket import BucketInbox
from huleedu_dagster.pipeline.inbox_sweep import Sweep
from huleedu_dagster.pipeline.inbox_turns import Allowance
from huleedu_dagster.storage.inbox_bucket import InboxBucket
from huleedu_dagster.storage.s3 import S3Options, open_client
from huleedu_dagster.storage.s3_client import S3Client
from tests.support.between import Between, Fault, dropped, silent
from tests.support.dropping import drop, drop_all, inbox_bucket, names_in, take_out
from tests.support.ledger import all_rows, events
from tests.support.seaweed import through
from tests.support.workshop import GOOD, Workshop
from tests.unit.pipeline.archives import broken_member, zipped

MOST = 10_000


class Drop:
    """An inbox bucket and sweeps over it."""

    def __init__(self, shop: Workshop, options: S3Options) -> None:
        self.shop = shop
        self.options = options
        self.inbox = self.inbox_at(self.options)
        self.after = ""

    def inbox_at(self, options: S3Options, most: int = MOST, closed_looks: int = 9) -> BucketInbox:
        bucket = InboxBucket(options)
        return BucketInbox(bucket, self.shop.intake, BatchSettings(), most, closed_looks)

    def drop(self, name: str, data: bytes = GOOD) -> None:
        drop(self.options, name, data)

    def sweep(self, *, limit: int = 100, inbox: BucketInbox | None = None) -> Sweep:
        """Look at the bucket once, from where the last look ended."""
        found, self.after = (inbox or self.inbox).sweep(Allowance(limit), self.after)
        return found

    @contextmanager
    def between(self, always: Fault | None = None) -> Iterator[tuple[Between, BucketInbox]]:
        """The same inbox by way of something that counts requests, or does not pass them on."""
        port = int(self.options.endpoint.partition(":")[2])
        with Between(port, always=always) as between:
            yield between, self.inbox_at(through(self.options, between.port, retries=1))

    def paths(self, batch_id: str = "class-a") -> list[str]:
        return [it.upload.path for it in self.shop.facts(batch_id).essays]

    def versions(self) -> list[int]:
        return [it.upload.version for it in self.shop.facts().essays]

    def is_closed(self, batch_id: str = "class-a") -> bool:
        return self.shop.facts(batch_id).batch.closed_at is not None

    def batches(self) -> list[str]:
        with self.shop.ledger.read() as tx:
            return sorted(it.batch_id for it in tx.batches.all())


@pytest.fixture
def post(shop: Workshop) -> Iterator[Drop]:
    with inbox_bucket(shop.folder) as options:
        yield Drop(shop, options)


def test_an_empty_bucket_is_nothing_to_do(post: Drop) -> None:
    assert post.sweep() == Sweep()


def test_what_is_before_the_first_slash_is_the_batch_and_the_rest_the_path(post: Drop) -> None:
    post.drop("class-a/Leo/essay.txt", b"Leo")
    post.drop("class-a/Ida/essay ä+%41.txt", b"Ida")
    assert post.sweep() == Sweep(taken=2)
    assert post.paths() == ["Ida/essay ä+%41.txt", "Leo/essay.txt"]
    registration = post.shop.facts().batch.registration
    assert (registration.source, registration.expected_essay_count) == ("inbox", None)
    (event,) = events(post.shop.ledger, "essay_upload")
    assert event["expected_count"] == 2
    assert len(names_in(post.options)) == 2, "they are left where they are"


def test_a_second_sweep_lists_and_reads_nothing_and_changes_nothing(post: Drop) -> None:
    post.drop("class-a/a.txt")
    post.drop("class-a/b.zip", zipped({"x.txt": b"x"}))
    post.sweep()
    before = all_rows(post.shop.ledger)
    with post.between() as (between, inbox):
        assert post.sweep(inbox=inbox) == Sweep()
        assert between.requests == 2
    assert all_rows(post.shop.ledger) == before


def test_a_changed_object_is_a_new_version_and_the_same_bytes_again_are_nothing(
    post: Drop,
) -> None:
    post.drop("class-a/a.txt")
    post.sweep()
    post.drop("class-a/a.txt", GOOD + b" More.")
    assert post.sweep() == Sweep(taken=1)
    assert post.versions() == [2]
    post.drop("class-a/a.txt", GOOD + b" More.")
    post.sweep()
    assert post.versions() == [2]


def test_a_complete_object_closes_the_batch_when_everything_is_taken_in(post: Drop) -> None:
    post.drop("class-a/a.txt")
    post.drop("class-a/b.txt", b"b")
    post.drop("class-a/.complete", b"")
    assert post.sweep(limit=1) == Sweep(taken=1, waiting=1)
    assert not post.is_closed()
    assert post.sweep(limit=1) == Sweep(taken=1)
    assert post.shop.facts().batch.closed_by is ClosedBy.REQUEST
    post.shop.intake.reopen("class-a")
    post.sweep()
    assert not post.is_closed(), "the same object closes it once"
    post.drop("class-a/.complete", b"again")
    post.sweep()
    assert post.is_closed()


def test_an_object_that_comes_after_the_batch_was_closed_is_late(post: Drop) -> None:
    post.drop("class-a/a.txt")
    post.drop("class-a/.complete", b"")
    post.sweep()
    post.drop("class-a/b.txt", b"late")
    assert post.sweep() == Sweep(taken=1)
    assert [it.path for it in post.shop.facts().unplaced] == ["b.txt"]


def test_a_batch_with_objects_that_wait_is_not_quiet(post: Drop) -> None:
    post.drop("class-a/1.txt", b"1")
    post.drop("class-a/2.txt", b"2")
    assert post.sweep(limit=1) == Sweep(taken=1, waiting=1)
    post.shop.clock.advance(60)
    assert post.sweep(limit=0) == Sweep(waiting=1)
    assert post.shop.facts().batch.last_received_at == post.shop.clock.now


def test_what_no_batch_can_be_is_counted_and_litter_is_passed_over(post: Drop) -> None:
    for name in ("Class 7B/a.txt", "klass-å/a.txt", "loose.txt", ".hidden/a.txt", ".DS_Store"):
        post.drop(name)
    for name in (".DS_Store", "~$a.docx", "Thumbs.db", "__MACOSX/a.txt", ".git/config", "sub/"):
        post.drop(f"class-a/{name}", b"")
    post.drop("class-b/sub/", b"")
    assert post.sweep() == Sweep(misnamed=3)
    assert post.batches() == []


def test_a_name_that_no_essay_can_have_is_counted(post: Drop) -> None:
    post.drop("class-a/two\nlines.txt")
    post.drop("class-a/a.txt")
    assert post.sweep() == Sweep(taken=1, unreadable=1)


def test_an_archive_is_a_folder_though_it_is_larger_than_a_file_may_be(post: Drop) -> None:
    members = {f"{name}/e.txt": (name * 2_000).encode() for name in ("Leo", "Ida", "Bo")}
    post.drop("class-a/all.zip", zipped({**members, ".x": b""}))
    assert post.sweep() == Sweep(taken=1)
    assert post.paths() == [f"all.zip/{it}" for it in members]
    post.drop("class-a/none.zip", b"PK\x03\x04 nothing more")
    assert post.sweep() == Sweep(taken=1)
    assert post.paths()[-1] == "none.zip"


def test_a_damaged_archive_is_fetched_once_and_told_every_time(post: Drop) -> None:
    members = {name: f"the essay {name}".encode() for name in ("a.txt", "b.txt", "c.txt")}
    post.drop("class-a/all.zip", broken_member(members, "b.txt"))
    assert post.sweep() == Sweep(unreadable=1)
    assert post.paths() == ["all.zip/a.txt", "all.zip/c.txt"]
    with post.between() as (between, inbox):
        assert post.sweep(inbox=inbox) == Sweep(unreadable=1)
        assert between.requests == 2
    post.drop("class-a/all.zip", zipped(members))
    assert post.sweep() == Sweep(taken=1)
    assert sorted(post.paths()) == ["all.zip/a.txt", "all.zip/b.txt", "all.zip/c.txt"]


def test_what_is_too_large_is_never_read_until_the_limit_is_another(post: Drop) -> None:
    post.drop("class-a/a.txt", b"x" * (MOST + 1))
    post.drop("class-a/b.zip", b"no archive" * MOST)
    post.drop("class-a/c.txt")
    for _ in range(2):
        post.sweep(limit=1)
    assert post.paths() == ["c.txt"]
    with post.between() as (between, inbox):
        assert post.sweep(inbox=inbox) == Sweep(unreadable=2)
        assert between.requests == 2
    assert post.sweep(inbox=post.inbox_at(post.options, most=MOST + 1)).taken == 1
    assert post.paths() == ["c.txt", "a.txt"]


def test_a_batch_in_folder_and_bucket_is_one_and_neither_chases_the_other(post: Drop) -> None:
    place = post.shop.folder / "inbox"
    (place / "class-a").mkdir(parents=True)
    (place / "class-a" / "a.txt").write_bytes(b"from the folder")
    (place / "class-a" / "b.txt").write_bytes(b"b")
    folder = Inbox(place, post.shop.intake, BatchSettings(), 0, MOST)
    post.drop("class-a/a.txt", b"from the bucket")
    post.drop("class-a/c.txt", b"c")
    for _ in range(3):
        folder.sweep(datetime.now(UTC) + timedelta(seconds=1), 100)
        post.sweep()
    assert post.paths() == ["a.txt", "b.txt", "c.txt"]
    assert post.versions() == [2, 1, 1], "what was taken in last is the newer version"

    post.drop("class-a/.complete", b"")
    post.sweep()
    assert post.is_closed(), "either of them closes it"
    post.shop.intake.reopen("class-a")
    (place / "class-a" / ".complete").touch()
    folder.sweep(datetime.now(UTC) + timedelta(seconds=1), 100)
    assert post.is_closed()


def test_closed_batches_are_looked_at_in_turn_and_all_others_every_time(post: Drop) -> None:
    closed = [f"class-{it}" for it in "abcde"]
    drop_all(post.options, [f"{it}/{name}" for it in closed for name in ("1.txt", ".complete")])
    assert post.sweep() == Sweep(taken=5)
    assert all(map(post.is_closed, closed))
    post.drop("open/1.txt", b"1")
    post.sweep()

    drop_all(post.options, [f"{it}/2.txt" for it in closed])
    inbox = post.inbox_at(post.options, closed_looks=2)
    post.after = ""
    found = []
    for number in range(3):
        post.drop("open/1.txt", f"version {number}".encode())
        found.append(post.sweep(inbox=inbox).taken)
    assert found == [3, 3, 2], "two closed ones and the open one each time"
    with post.between() as (between, counted):
        post.sweep(inbox=replace(counted, closed_looks=2))
        assert between.requests == 4, "the top, two closed ones and the open one"


def test_a_sweep_that_is_out_of_time_leaves_the_rest_to_the_next(post: Drop) -> None:
    drop_all(post.options, [f"class-{it}/1.txt" for it in "ab"])
    over = Allowance(9, seconds=0, look_seconds=0)
    assert post.inbox.sweep(over, "class-a") == (Sweep(), "class-a")
    assert post.batches() == []
    assert post.inbox.sweep(Allowance(9), "class-a")[0] == Sweep(taken=2)


def test_a_sweep_that_may_take_in_no_more_still_sees_which_batches_are_not_quiet(
    post: Drop,
) -> None:
    drop_all(post.options, [f"class-{it}/1.txt" for it in "ab"])
    post.sweep()
    drop_all(post.options, [f"class-{it}/2.txt" for it in "ab"])
    post.drop("class-b/.complete", b"")
    post.shop.clock.advance(60)
    late = Allowance(9, seconds=0)
    assert post.inbox.sweep(late, "class-a") == (Sweep(waiting=2), "class-a")
    for it in "ab":
        batch = post.shop.facts(f"class-{it}").batch
        assert (batch.closed_at, batch.last_received_at) == (None, post.shop.clock.now)


def test_a_listing_that_fails_is_an_error_and_closes_nothing(post: Drop) -> None:
    post.drop("class-a/a.txt")
    post.drop("class-a/.complete", b"")
    with post.between(always=dropped) as (_, inbox), pytest.raises(OSError, match="be reached"):
        post.sweep(inbox=inbox)
    assert post.batches() == []
    assert post.sweep() == Sweep(taken=1)


def test_a_batch_that_nobody_can_see_is_not_quiet(post: Drop) -> None:
    place = post.shop.folder / "inbox"
    (place / "class-f").mkdir(parents=True)
    (place / "class-f" / "a.txt").write_bytes(GOOD)
    Inbox(place, post.shop.intake, BatchSettings(), 0, MOST).sweep(
        datetime.now(UTC) + timedelta(seconds=1), 100
    )
    drop_all(post.options, ["class-a/a.txt", "class-b/a.txt", "class-b/.complete"])
    post.sweep()
    before = post.shop.clock.now
    post.shop.clock.advance(60)
    with post.between(always=dropped) as (_, inbox), pytest.raises(OSError, match="be reached"):
        post.sweep(inbox=inbox)
    moments = {it: post.shop.facts(f"class-{it}").batch.last_received_at for it in "abf"}
    assert moments == {"a": post.shop.clock.now, "b": before, "f": before}


def test_an_object_that_is_gone_by_then_keeps_no_other_out(
    post: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = InboxBucket.objects
    post.drop("class-a/a.txt")
    post.drop("class-a/b.txt", b"b")

    def listed_and_removed(bucket: InboxBucket, prefix: str = "") -> object:
        found = listed(bucket, prefix)
        take_out(post.options, "class-a/a.txt")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(InboxBucket, "objects", listed_and_removed)
        assert post.sweep() == Sweep(taken=1, unreadable=1)
    assert post.sweep() == Sweep()
    assert post.paths() == ["b.txt"]


def test_a_batch_is_not_closed_without_an_object_that_the_server_gives_a_moment_later(
    post: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop_all(post.options, ["class-a/a.txt", "class-a/b.txt", "class-a/.complete"])
    get = S3Client.get_object

    def busy(client: S3Client, bucket: str, name: str) -> object:
        if name == "class-a/b.txt":
            answer = HTTPResponse(status=503)
            raise S3Error(answer, "SlowDown", "busy", name, "", "", bucket, name)
        return get(client, bucket, name)

    with monkeypatch.context() as patch:
        patch.setattr(S3Client, "get_object", busy)
        assert post.sweep() == Sweep(taken=1, waiting=1)
    assert not post.is_closed()
    assert post.sweep() == Sweep(taken=1)
    assert post.is_closed()
    assert post.paths() == ["a.txt", "b.txt"]


@pytest.mark.parametrize("fault", [silent, dropped])
def test_an_object_that_never_comes_keeps_its_batch_open_and_no_other_out(
    post: Drop, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    drop_all(post.options, ["class-a/a.txt", "class-a/b.txt", "class-a/.complete", "class-b/c.txt"])
    get = S3Client.get_object
    port = int(post.options.endpoint.partition(":")[2])
    with monkeypatch.context() as patch, Between(port, always=fault) as between:
        impatient = replace(through(post.options, between.port, retries=0), read_seconds=0.2)
        other = open_client(impatient)

        def by_another_way(client: S3Client, bucket: str, name: str) -> object:
            return get(other if name == "class-a/a.txt" else client, bucket, name)

        patch.setattr(S3Client, "get_object", by_another_way)
        assert post.sweep() == Sweep(taken=2, waiting=1)
        # Whoever is silent for long is not waited for twice.
        again = 0 if fault is silent else post.options.patience.times
        assert between.connections == 1 + again
    assert not post.is_closed()
    assert post.paths("class-b") == ["c.txt"]
    assert post.sweep() == Sweep(taken=1)
    assert post.is_closed()


def test_a_store_that_fails_leaves_the_object_for_the_next_sweep(post: Drop) -> None:
    post.drop("class-a/a.txt")
    post.shop.blobs.fail("put", "raw_upload_blob", times=1)
    with pytest.raises(OSError, match="away"):
        post.sweep()
    assert post.sweep() == Sweep(taken=1)


def test_memory_does_not_grow_with_an_object(post: Drop) -> None:
    size = 16 * 1024**2
    post.drop("class-a/large.txt", b"x" * size)
    post.drop("class-a/large.zip", zipped({"a.txt": b"y" * size}))
    inbox = post.inbox_at(post.options, most=2 * size)
    tracemalloc.start()
    try:
        assert post.sweep(inbox=inbox) == Sweep(taken=2)
        assert tracemalloc.get_traced_memory()[1] < size / 4
    finally:
        tracemalloc.stop()
    assert list(post.options.spool.iterdir()) == []


@pytest.mark.slow
def test_five_thousand_objects_of_one_batch_are_taken_in_some_at_a_time(post: Drop) -> None:
    drop_all(post.options, [f"class-a/{number:04}.txt" for number in range(5_000)])
    with post.between() as (between, inbox):
        assert post.sweep(limit=150, inbox=inbox) == Sweep(taken=150, waiting=4_850)
        assert between.requests == 1 + 5 + 150
    assert post.sweep(limit=150) == Sweep(taken=150, waiting=4_700)
    assert len(post.paths()) == 99
    assert len(post.shop.facts().unplaced) == 201
