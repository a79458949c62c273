"""What the inbox does is the inbox's, and a file that comes again as it is counts once."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from huleedu_dagster.domain.actions import Action
from huleedu_dagster.pipeline.inbox import Sweep
from tests.support.dropping import inbox_bucket
from tests.support.ledger import deeds, facts, suppressed
from tests.support.workshop import GOOD, Workshop
from tests.unit.pipeline.archives import broken_member, zipped
from tests.unit.pipeline.posting import Post
from tests.unit.pipeline.test_inbox_bucket import Drop


@pytest.fixture
def post(shop: Workshop) -> Post:
    return Post(shop)


@pytest.fixture
def drop(shop: Workshop) -> Iterator[Drop]:
    with inbox_bucket(shop.folder) as options:
        yield Drop(shop, options)


def touch(path: Path) -> None:
    """Let a file be news to whoever does not look into it."""
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 10**9))


def inbox(action: Action, amount: int = 1) -> tuple[str, str, int]:
    return ("system:inbox", action, amount)


def test_a_folder_is_registered_taken_in_and_closed_by_the_inbox(post: Post) -> None:
    post.drop("class-a/a.txt")
    post.drop("class-a/b.zip", zipped({"x.txt": b"x", "y.txt": b"y"}))
    post.drop("class-a/.complete", b"")
    post.sweep()
    assert deeds(post.shop.ledger) == [
        inbox(Action.REGISTERED),
        inbox(Action.RECEIVED, 3),
        inbox(Action.CLOSED),
    ]


def test_a_sweep_that_finds_nothing_new_tells_nothing(post: Post) -> None:
    post.drop("class-a/a.txt")
    post.sweep()
    before = deeds(post.shop.ledger)
    for _ in range(3):
        post.sweep()
    assert deeds(post.shop.ledger) == before


def test_a_file_that_is_put_there_again_counts_once(post: Post) -> None:
    path = post.drop("class-a/a.txt")
    archive = post.drop("class-a/b.zip", zipped({"x.txt": b"x", "y.txt": b"y"}))
    post.sweep()
    before = facts(post.shop.ledger) | {"inbox_files": []}
    touch(path)
    touch(archive)
    for _ in range(3):
        post.sweep()
    assert facts(post.shop.ledger) | {"inbox_files": []} == before
    assert deeds(post.shop.ledger)[-1] == inbox(Action.UNCHANGED, 3)
    assert suppressed(post.shop.ledger) == 3


def test_a_file_that_came_by_another_door_already_counts(post: Post) -> None:
    post.shop.register()
    post.shop.hand_in("a.txt")
    post.drop("class-a/a.txt")
    post.drop("class-a/new.txt", b"new")
    post.sweep()
    post.sweep()
    assert deeds(post.shop.ledger)[2:] == [inbox(Action.RECEIVED), inbox(Action.UNCHANGED)]
    assert suppressed(post.shop.ledger) == 1


def test_what_is_looked_at_again_since_it_may_still_change_was_not_handed_in_again(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.drop("class-a/b.zip", zipped({"x.txt": b"x", "y.txt": b"y"}))
    taken = Path.stat
    changes = iter(range(1_000_000))

    def changing(path: Path, **options: bool) -> os.stat_result:
        found = taken(path, **options)
        if path.name != "b.zip":
            return found
        # Its time of change is another one at each look, as while it is being written.
        values = list(found[:10])
        ns = {"st_atime_ns": 1, "st_mtime_ns": next(changes), "st_ctime_ns": 1}
        return os.stat_result(values, {**ns, "st_ctime": 0.0})

    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", changing)
        for _ in range(3):
            assert post.sweep().taken == 0
    assert post.sweep() == Sweep(taken=1)
    assert suppressed(post.shop.ledger) == 0


def test_a_damaged_archive_that_is_given_up_counts_what_came_again_once(post: Post) -> None:
    members = {"good.txt": GOOD, "bad.txt": GOOD}
    path = post.drop("class-a/b.zip", broken_member(members, "bad.txt"))
    assert post.sweep() == Sweep(unreadable=1)
    assert suppressed(post.shop.ledger) == 0
    touch(path)
    for _ in range(3):
        post.sweep()
    assert suppressed(post.shop.ledger) == 1


def test_objects_of_a_bucket_count_the_same_way(drop: Drop) -> None:
    drop.shop.register()
    drop.shop.hand_in("a.txt")
    drop.drop("class-a/a.txt")
    drop.drop("class-a/b.zip", zipped({"x.txt": b"x", "y.txt": b"y"}))
    drop.sweep()
    drop.drop("class-a/b.zip", zipped({"x.txt": b"x", "y.txt": b"other"}))
    for _ in range(2):
        drop.sweep()
    assert deeds(drop.shop.ledger)[2:] == [
        inbox(Action.RECEIVED, 2),
        inbox(Action.UNCHANGED),
        inbox(Action.RECEIVED),
        inbox(Action.UNCHANGED),
    ]
    assert suppressed(drop.shop.ledger) == 2
