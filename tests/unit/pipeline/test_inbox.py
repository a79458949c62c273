"""The inbox: what is taken in, what waits, what is left alone."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.pipeline.inbox import Inbox, Sweep, misnamed
from huleedu_dagster.pipeline.inbox_turns import Allowance
from huleedu_dagster.pipeline.sources import walk
from tests.support.ledger import all_rows, events
from tests.support.workshop import GOOD, Workshop
from tests.unit.pipeline.archives import broken_member, zipped
from tests.unit.pipeline.posting import Post


def test_without_an_inbox_there_is_nothing_to_do(shop: Workshop) -> None:
    inbox = Inbox(shop.folder / "none", shop.intake, BatchSettings(), 2.0, 1)
    assert inbox.sweep(datetime.now(UTC), 9) == Sweep()
    assert misnamed(inbox.folder) == []


def test_a_folder_is_registered_and_its_settled_files_are_taken_in_by_path(post: Post) -> None:
    post.drop("class-a/Leo/essay.txt", b"Leo")
    post.drop("class-a/Ida/essay.txt", b"Ida")
    assert post.sweep() == Sweep(taken=2)
    assert post.paths() == ["Ida/essay.txt", "Leo/essay.txt"]
    registration = post.shop.facts().batch.registration
    assert (registration.source, registration.expected_essay_count) == ("inbox", None)
    (event,) = events(post.shop.ledger, "essay_upload")
    assert event["expected_count"] == 2
    assert sorted(it.name for it in (post.folder / "class-a").iterdir()) == ["Ida", "Leo"]


def test_files_that_still_change_wait(post: Post) -> None:
    path = post.drop("class-a/a.txt")
    assert post.sweep_at_once(path) == Sweep(waiting=1)
    assert post.paths() == []
    assert post.sweep() == Sweep(taken=1)


def test_a_copy_that_keeps_its_old_date_is_new_all_the_same(post: Post) -> None:
    path = post.drop("class-a/a.txt")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert post.sweep_at_once(path) == Sweep(waiting=1)


def test_a_file_dated_in_the_future_is_not_left_waiting_for_ever(post: Post) -> None:
    path = post.drop("class-a/a.txt")
    tomorrow = datetime.now(UTC).timestamp() + 86_400
    os.utime(path, (tomorrow, tomorrow))
    assert post.sweep().taken == 1


def test_a_second_sweep_reads_nothing_and_changes_nothing(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.drop("class-a/a.txt")
    post.drop("class-a/b.zip", zipped({"x.txt": b"x"}))
    post.sweep()
    before = all_rows(post.shop.ledger)

    def refuse(*_: Any) -> bytes:
        raise AssertionError("a file that did not change was read")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr("zipfile.ZipFile.__init__", refuse)
    assert post.sweep() == Sweep()
    assert all_rows(post.shop.ledger) == before


def test_a_changed_file_is_a_new_version(post: Post) -> None:
    post.drop("class-a/a.txt")
    post.sweep()
    post.drop("class-a/a.txt", GOOD + b" More.")
    assert post.sweep() == Sweep(taken=1)
    assert post.shop.essay().upload.version == 2


def while_it_is_read(monkeypatch: pytest.MonkeyPatch, act: Callable[[Path], None]) -> None:
    read = Path.read_bytes

    def interrupted(path: Path) -> bytes:
        data = read(path)
        if "inbox" in path.parts:
            act(path)
        return data

    monkeypatch.setattr(Path, "read_bytes", interrupted)


def grow(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b" and more")


def test_a_file_that_changes_while_it_is_read_waits_and_keeps_its_batch_open(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.drop("class-a/a.txt")
    post.drop("class-a/.complete", b"")
    with monkeypatch.context() as patch:
        while_it_is_read(patch, grow)
        found = post.sweep()
    assert post.paths() == []
    assert (found.taken, found.waiting) == (0, 1)
    assert not post.is_closed()


def test_a_file_that_is_removed_while_it_is_read_is_not_taken_in(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.drop("class-a/a.txt")
    with monkeypatch.context() as patch:
        while_it_is_read(patch, Path.unlink)
        assert post.sweep().unreadable == 0
    assert post.paths() == []
    assert post.sweep() == Sweep()


def test_a_complete_file_closes_the_batch_when_everything_is_taken_in(post: Post) -> None:
    post.drop("class-a/a.txt")
    post.drop("class-a/b.txt", b"b")
    post.drop("class-a/.complete", b"")
    assert post.sweep(limit=1) == Sweep(taken=1, waiting=1)
    assert not post.is_closed()
    assert post.sweep(limit=1) == Sweep(taken=1)
    assert post.shop.facts().batch.closed_by is ClosedBy.REQUEST
    assert len(post.paths()) == 2


def test_a_reopened_batch_stays_open_though_its_complete_file_is_still_there(post: Post) -> None:
    post.drop("class-a/a.txt")
    post.drop("class-a/.complete", b"")
    post.sweep()
    post.shop.intake.reopen("class-a")
    post.sweep()
    assert not post.is_closed()


def test_a_folder_outside_the_grammar_is_counted_and_never_renamed(post: Post) -> None:
    for name in ("Class 7B", "klass-å"):
        post.drop(f"{name}/a.txt")
    post.drop("loose.txt")
    post.drop("good/a.txt")
    post.drop(".hidden/a.txt")
    assert post.sweep() == Sweep(taken=1, misnamed=3)
    assert misnamed(post.inbox.folder) == ["Class 7B", "klass-å", "loose.txt"]
    assert (post.folder / "Class 7B" / "a.txt").read_bytes() == GOOD
    with post.shop.ledger.read() as tx:
        assert [it.batch_id for it in tx.batches.all()] == ["good"]


def test_litter_is_no_essay_and_an_empty_folder_is_no_batch(post: Post) -> None:
    for name in (".DS_Store", "~$a.docx", "Thumbs.db", "__MACOSX/a.txt", ".git/config"):
        post.drop(f"class-a/{name}")
    assert post.sweep() == Sweep()
    with post.shop.ledger.read() as tx:
        assert tx.batches.all() == []


def test_links_are_not_followed(post: Post) -> None:
    secret = post.shop.folder / "elsewhere" / "secret.txt"
    secret.parent.mkdir()
    secret.write_bytes(b"secret")
    post.drop("class-a/a.txt")
    (post.folder / "class-a" / "file.txt").symlink_to(secret)
    (post.folder / "class-a" / "folder").symlink_to(secret.parent)
    (post.folder / "class-b").symlink_to(secret.parent)
    post.sweep()
    assert post.paths() == ["a.txt"]
    with post.shop.ledger.read() as tx:
        assert [it.batch_id for it in tx.batches.all()] == ["class-a"]


def test_a_name_that_no_essay_can_have_is_counted_and_not_passed_over_in_silence(
    post: Post,
) -> None:
    post.drop("class-a/two\nlines.txt")
    found = post.sweep()
    assert found.unreadable + found.misnamed == 1


def test_a_zip_archive_is_a_folder(post: Post) -> None:
    post.drop("class-a/all.zip", zipped({"Leo/e.txt": b"Leo", "Ida/e.txt": b"Ida", ".x": b""}))
    assert post.sweep().unreadable == 0
    assert sorted(post.paths()) == ["all.zip/Ida/e.txt", "all.zip/Leo/e.txt"]


def test_an_archive_that_is_none_is_kept_as_one_upload(post: Post) -> None:
    post.drop("class-a/all.zip", b"PK\x03\x04 nothing more")
    assert post.sweep() == Sweep(taken=1)
    assert post.paths() == ["all.zip"]


def test_a_damaged_file_of_an_archive_does_not_keep_its_neighbours_out(post: Post) -> None:
    members = {name: f"the essay {name}".encode() for name in ("a.txt", "b.txt", "c.txt")}
    post.drop("class-a/all.zip", broken_member(members, "b.txt"))
    assert post.sweep().unreadable == 1
    assert post.paths() == ["all.zip/a.txt", "all.zip/c.txt"]


@pytest.mark.parametrize("harm", ["packed", "name"])
def test_a_damaged_archive_never_stops_the_other_batches(post: Post, harm: str) -> None:
    members = {"bad.txt": b"some text that is long enough to be damaged" * 9}
    post.drop("class-a/all.zip", broken_member(members, "bad.txt", harm=harm))
    post.drop("class-b/fine.txt")
    post.sweep()
    assert post.paths("class-b") == ["fine.txt"]


def test_a_folder_that_is_still_copied_to_is_not_quiet(post: Post) -> None:
    post.drop("class-a/1.txt", b"1")
    post.drop("class-a/2.txt", b"2")
    assert post.sweep(limit=1) == Sweep(taken=1, waiting=1)
    post.shop.clock.advance(60)
    assert post.sweep(limit=0) == Sweep(waiting=1)
    with post.shop.ledger.read() as tx:
        assert tx.batches.get("class-a").last_received_at == post.shop.clock.now


def test_a_sweep_without_time_left_sees_every_folder_and_closes_none_that_waits(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    for batch_id in ("class-a", "class-b"):
        post.drop(f"{batch_id}/1.txt", b"1")
    post.sweep()
    for batch_id in ("class-a", "class-b"):
        post.drop(f"{batch_id}/2.txt", b"2")
    post.shop.clock.advance(60)
    monkeypatch.setattr(Allowance, "is_late", True)
    assert post.sweep() == Sweep(waiting=2)
    for batch_id in ("class-a", "class-b"):
        assert post.shop.facts(batch_id).batch.last_received_at == post.shop.clock.now


def test_files_that_come_with_a_complete_file_during_the_look_are_not_left_out(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.drop("class-a/a.txt", b"a")

    def walked_and_dropped(folder: Path) -> list[Path]:
        found = list(walk(folder))
        post.drop("class-a/b.txt", b"b")
        post.drop("class-a/.complete", b"")
        return found

    with monkeypatch.context() as patch:
        patch.setattr("huleedu_dagster.pipeline.inbox.walk", walked_and_dropped)
        post.sweep()
    assert not post.is_closed()
    assert post.sweep() == Sweep(taken=1)
    assert post.is_closed()
    assert post.paths() == ["a.txt", "b.txt"]


def test_a_tick_takes_no_more_than_its_limit_over_all_batches(post: Post) -> None:
    for batch_id in ("class-a", "class-b"):
        for name in ("1.txt", "2.txt"):
            post.drop(f"{batch_id}/{name}", name.encode())
    assert post.sweep(limit=3) == Sweep(taken=3, waiting=1)
    assert post.sweep(limit=3) == Sweep(taken=1)
    assert post.sweep(limit=3) == Sweep()


def test_a_file_dropped_after_the_batch_was_closed_is_late(post: Post) -> None:
    post.drop("class-a/a.txt")
    post.drop("class-a/.complete", b"")
    post.sweep()
    post.drop("class-a/b.txt", b"late")
    assert post.sweep() == Sweep(taken=1)
    assert [it.path for it in post.shop.facts().unplaced] == ["b.txt"]
