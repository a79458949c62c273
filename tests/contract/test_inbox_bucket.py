"""The inbox bucket as a real server has it: names, pages, refusals, faults."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from huleedu_dagster.cli.checks import Check
from huleedu_dagster.cli.doctor_servers import examine_servers
from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.pipeline.inbox_bucket import not_taken_in
from huleedu_dagster.pipeline.lifecycle import close, register
from huleedu_dagster.settings import Settings
from huleedu_dagster.storage.inbox_bucket import (
    BusyObjectError,
    InboxBucket,
    UnreadableObjectError,
)
from huleedu_dagster.storage.s3 import S3Options
from tests.support.between import Between, Fault, busy, cut_off, dropped, silent
from tests.support.dropping import drop, drop_all, inbox_bucket, take_out
from tests.support.fakes import ManualClock
from tests.support.sandboxes import wait_until
from tests.support.seaweed import make_bucket, options_at, seaweed, through
from tests.support.seaweed_server import ACCESS_KEY, SECRET_KEY

NAME = "class-a/Ida Smith.txt"
LARGE = bytes(range(256)) * 4_000


@pytest.fixture
def options(tmp_path: Path) -> Iterator[S3Options]:
    with inbox_bucket(tmp_path) as found:
        yield found


def port_of(options: S3Options) -> int:
    return int(options.endpoint.partition(":")[2])


def read(bucket: InboxBucket, name: str = NAME, most: int = 10_000_000) -> bytes:
    with bucket.opened(name, most) as stream:
        return stream.read()


LISTINGS: dict[str, Callable[[InboxBucket], object]] = {
    "check": lambda bucket: bucket.check(),
    "top": lambda bucket: bucket.top(),
    "objects": lambda bucket: bucket.objects("class-a/"),
}
CALLS = {**LISTINGS, "opened": read}


def test_the_top_has_prefixes_and_loose_objects_and_below_are_objects(options: S3Options) -> None:
    names = ["class-a/b/c.txt", "class-a/b-d.txt", "class-a/ä +%41.txt", "loose.txt"]
    drop_all(options, names)
    drop(options, "class-a/folder/", b"")
    bucket = InboxBucket(options)
    assert sorted(bucket.top()) == ["class-a/", "loose.txt"]
    assert [it.name for it in bucket.objects()] == sorted(names)
    assert [it.name for it in bucket.objects("class-a/")] == sorted(names)[:3]
    assert bucket.objects("class/") == []
    for name in names:
        assert name.encode() in read(bucket, name)


def test_an_object_that_is_put_again_is_listed_otherwise(options: S3Options) -> None:
    bucket = InboxBucket(options)
    listed = []
    for data in (b"one", b"two", b"three"):
        drop(options, NAME, data)
        listed += bucket.objects()
    assert [it.size for it in listed] == [3, 3, 5]
    assert len({it.etag for it in listed}) == 3
    assert all(it.modified is not None for it in listed)


@pytest.mark.slow
def test_more_batches_than_a_page_has_are_all_listed(options: S3Options) -> None:
    drop_all(options, [f"class-{number:04}/a.txt" for number in range(1_100)])
    with Between(port_of(options)) as between:
        bucket = InboxBucket(through(options, between.port))
        assert sorted(bucket.top()) == [f"class-{number:04}/" for number in range(1_100)]
        assert between.requests == 2


@pytest.mark.parametrize("call", LISTINGS)
@pytest.mark.parametrize(
    ("name", "secret"), [(ACCESS_KEY, "not-the-secret"), ("nobody", SECRET_KEY)]
)
def test_a_wrong_key_is_told_and_no_secret_with_it(
    options: S3Options, name: str, secret: str, call: str
) -> None:
    refused = replace(options, access_key=name, secret_key=secret)
    with pytest.raises(PermissionError, match="HULEEDU_S3_ACCESS_KEY") as caught:
        LISTINGS[call](InboxBucket(refused))
    for private in (name, secret):
        assert private not in str(caught.value)


@pytest.mark.parametrize("call", LISTINGS)
def test_a_bucket_that_is_missing_is_told_and_never_an_empty_one(
    options: S3Options, call: str
) -> None:
    with pytest.raises(OSError, match="no bucket 'nowhere'; create it or see HULEEDU_INBOX_BUCKET"):
        LISTINGS[call](InboxBucket(replace(options, bucket="nowhere")))


@pytest.mark.parametrize("call", CALLS)
def test_a_server_that_is_away_is_an_error_that_names_no_file(
    options: S3Options, call: str
) -> None:
    drop(options, NAME)
    with Between(port_of(options), always=dropped) as between:
        bucket = InboxBucket(through(options, between.port, retries=1))
        with pytest.raises(OSError, match=r"cannot be reached .*; see HULEEDU_S3") as caught:
            CALLS[call](bucket)
        # Of an object it is asked whether it is the server that is away.
        assert between.connections == (3 if call == "opened" else 2)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("call", CALLS)
def test_a_server_that_is_silent_is_given_up(options: S3Options, call: str) -> None:
    with Between(port_of(options), always=silent) as between:
        quick = replace(through(options, between.port, retries=1), read_seconds=0.1)
        with pytest.raises(TimeoutError, match="in time; see HULEEDU_S3_CONNECT_SECONDS"):
            CALLS[call](InboxBucket(quick))


@pytest.mark.parametrize("fault", [busy, dropped])
@pytest.mark.parametrize("call", CALLS)
def test_what_may_go_well_the_next_time_is_tried_again_and_no_name_is_logged(
    options: S3Options, call: str, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    drop(options, NAME)
    with Between(port_of(options), [fault]) as between, caplog.at_level("INFO"):
        CALLS[call](InboxBucket(through(options, between.port, retries=1)))
        assert between.connections == 2
    assert "Ida" not in caplog.text


def test_a_listing_that_breaks_off_is_an_error_and_not_a_short_one(options: S3Options) -> None:
    drop(options, NAME)
    with Between(port_of(options), always=cut_off(400)) as between:
        bucket = InboxBucket(through(options, between.port, retries=1))
        with pytest.raises(OSError, match="cannot be reached"):
            bucket.objects()


def test_an_answer_that_breaks_off_is_asked_for_again_from_its_beginning(
    options: S3Options,
) -> None:
    drop(options, NAME, LARGE)
    with Between(port_of(options), [cut_off(500_000)]) as between:
        assert read(InboxBucket(through(options, between.port, retries=1))) == LARGE
        assert between.connections == 2


def test_an_object_that_always_breaks_off_or_is_gone_or_too_large_is_one_that_cannot_be_read(
    options: S3Options,
) -> None:
    drop(options, NAME, LARGE)
    with Between(port_of(options), always=cut_off(500_000)) as between:
        with pytest.raises(UnreadableObjectError):
            read(InboxBucket(through(options, between.port, retries=1)))
        assert between.connections == 2
    bucket = InboxBucket(options)
    with pytest.raises(UnreadableObjectError):
        read(bucket, most=len(LARGE) - 1)
    assert read(bucket, most=len(LARGE)) == LARGE
    with pytest.raises(UnreadableObjectError):
        read(bucket, "class-a/./a.txt")
    take_out(options, NAME)
    with pytest.raises(UnreadableObjectError):
        read(bucket)
    assert list(options.spool.iterdir()) == []


def test_a_server_killed_while_it_answers_is_away(tmp_path: Path) -> None:
    server = seaweed(tmp_path / "server")
    server.start()
    try:
        options = options_at(server.port, tmp_path)
        make_bucket(options)
        drop(options, NAME, LARGE)
        killing = lambda it, client: it.pass_on(client, most_back=500_000, cut=server.kill)  # noqa: E731
        with Between(server.port, always=killing) as between:
            bucket = InboxBucket(through(options, between.port, retries=1))
            with pytest.raises(OSError, match="cannot be reached"):
                bucket.objects() and read(bucket)
        server.start()
        wait_until(lambda: read_when_given(options) == LARGE)
    finally:
        server.kill()


def read_when_given(options: S3Options) -> bytes | None:
    """A server that has just started does not give every object at once."""
    try:
        return read(InboxBucket(options))
    except BusyObjectError:
        return None


def doctor_on_the_bucket() -> Check:
    found = examine_servers(Settings(), up_is_here=False)
    return next(it for it in found if it.name == "inbox bucket")


def test_what_is_not_taken_in_is_named_with_the_reason(
    options: S3Options, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {
        "HOME": str(tmp_path),
        "S3_ENDPOINT": options.endpoint,
        "S3_BUCKET": "blobs-elsewhere",
        "S3_ACCESS_KEY": options.access_key,
        "S3_SECRET_KEY": options.secret_key,
        "S3_SECURE": "false",
        "INBOX_BUCKET": options.bucket,
        "MAX_UPLOAD_BYTES": "100",
    }.items():
        monkeypatch.setenv(f"HULEEDU_{name}", value)
    assert not_taken_in(Settings()) == []
    assert doctor_on_the_bucket().ok
    drop_all(options, ["loose.txt", "Class 7B/a.txt", ".hidden/a.txt", "class-a/.complete"])
    drop(options, "class-a/fine.txt")
    drop(options, "class-a/large.txt", b"x" * 101)
    drop(options, "class-a/large.zip", b"x" * 101)
    drop(options, "class-a/two\nlines.txt")
    assert sorted(not_taken_in(Settings())) == [
        "Class 7B/ (no name of a batch)",
        "class-a/large.txt (larger than 100 bytes)",
        "class-a/two\nlines.txt (its name cannot be an essay's)",
        "loose.txt (no name of a batch)",
    ]
    found = doctor_on_the_bucket()
    assert not found.ok
    assert "class-a/large.txt (larger than 100 bytes)" in found.found
    monkeypatch.setenv("HULEEDU_INBOX_BUCKET", "nowhere")
    assert "create it or see HULEEDU_INBOX_BUCKET" in doctor_on_the_bucket().found
    with pytest.raises(OSError, match="HULEEDU_INBOX_BUCKET"):
        not_taken_in(Settings())


def test_the_ledger_tells_closed_batches_and_lets_those_of_one_inbox_stay_open(
    ledger: Ledger, clock: ManualClock
) -> None:
    names = [f"class-{number:03}" for number in range(600)]
    for batch_id in names[:4]:
        source = "cli" if batch_id == "class-003" else "inbox"
        register(ledger, batch_id, settings=BatchSettings(), source=source)
    close(ledger, "class-000", ClosedBy.REQUEST)
    with ledger.write() as tx:
        for batch_id, name in zip(names, ("/a.txt", "/a.txt", "a/b.txt", "/a.txt"), strict=False):
            tx.inbox.remember(batch_id, name, "0" * 64)
    clock.advance(60)
    with ledger.write() as tx:
        assert tx.inbox.closed_among(names) == {"class-000"}
        assert tx.inbox.closed_among(names[1:]) == tx.inbox.closed_among([]) == set()
        tx.inbox.keep_open("/")
        moved = [it for it in names[:4] if tx.batches.get(it).last_received_at == clock.now]
    assert moved == ["class-001"]
