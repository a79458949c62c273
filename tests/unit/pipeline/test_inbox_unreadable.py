"""The inbox: what cannot be read or kept for now stops no other, and is not left out unnoticed."""

import pytest

from huleedu_dagster.pipeline.inbox import Sweep
from huleedu_dagster.pipeline.inbox_places import BUCKET_MARK
from tests.support.boundary import refuse_entering, refuse_listing, refuse_reading
from tests.unit.pipeline.posting import Post


def test_a_file_that_cannot_be_read_is_counted_and_stays_and_the_others_are_taken_in(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.drop("class-a/a.txt")
    post.drop("class-a/b.txt", b"b")
    with monkeypatch.context() as patch:
        refuse_reading(patch, "a.txt")
        assert post.sweep() == Sweep(taken=1, unreadable=1)
        assert post.sweep(limit=1) == Sweep(unreadable=1)
    assert post.sweep() == Sweep(taken=1)
    assert post.paths() == ["b.txt", "a.txt"]


def test_a_batch_is_not_closed_without_a_file_that_cannot_be_read(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.drop("class-a/a.txt")
    post.drop("class-a/b.txt", b"b")
    post.drop("class-a/.complete", b"")
    with monkeypatch.context() as patch:
        refuse_reading(patch, "a.txt")
        assert post.sweep() == Sweep(taken=1, unreadable=1)
        post.shop.clock.advance(60)
        assert post.sweep() == Sweep(unreadable=1)
        assert not post.is_closed()
        # Nor when it is quiet for long.
        assert post.shop.facts().batch.last_received_at == post.shop.clock.now
    assert post.sweep() == Sweep(taken=1)
    assert post.is_closed()
    assert post.paths() == ["b.txt", "a.txt"]


def test_a_batch_whose_folder_cannot_be_listed_is_not_quiet(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.drop("class-a/a.txt")
    post.sweep()
    post.shop.clock.advance(60)
    with monkeypatch.context() as patch:
        refuse_listing(patch, "class-a")
        assert post.sweep() == Sweep(unreadable=1)
    assert post.shop.facts().batch.last_received_at == post.shop.clock.now


def test_a_batch_whose_folder_may_not_be_entered_keeps_no_other_out(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    for batch_id in ("class-a", "class-b", "class-c"):
        post.drop(f"{batch_id}/a.txt", batch_id.encode())
    with monkeypatch.context() as patch:
        refuse_entering(patch, "class-b")
        assert post.sweep() == Sweep(taken=2, unreadable=1)
    assert post.sweep() == Sweep(taken=1)


def test_while_the_inbox_cannot_be_listed_no_batch_of_it_is_quiet(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.drop("class-a/a.txt")
    post.sweep()
    post.shop.clock.advance(60)
    with monkeypatch.context() as patch:
        refuse_listing(patch, "inbox")
        with pytest.raises(OSError, match="denied"):
            post.sweep()
    assert post.shop.facts().batch.last_received_at == post.shop.clock.now


def test_while_the_inbox_is_away_no_batch_of_it_is_quiet(post: Post) -> None:
    post.drop("class-a/a.txt")
    post.sweep()
    post.shop.clock.advance(60)
    post.folder.rename(post.folder.with_name("elsewhere"))
    assert post.sweep() == Sweep()
    assert post.shop.facts().batch.last_received_at == post.shop.clock.now


def test_a_folder_that_is_away_keeps_no_class_of_the_bucket_open(post: Post) -> None:
    post.shop.register("class-a", source="inbox")
    post.shop.receive("a.txt")
    with post.shop.ledger.write() as tx:
        tx.inbox.remember("class-a", f"{BUCKET_MARK}a.txt", "as it was")
    received = post.shop.facts().batch.last_received_at
    post.shop.clock.advance(60)
    post.folder.rmdir()
    post.sweep()
    assert post.shop.facts().batch.last_received_at == received


def test_a_file_that_can_never_be_taken_in_does_not_keep_its_batch_open(post: Post) -> None:
    post.drop("class-a/a.txt")
    post.drop("class-a/large.txt", b"x" * 10_001)
    post.drop("class-a/.complete", b"")
    assert post.sweep() == Sweep(taken=1, unreadable=1)
    assert post.is_closed()


def test_files_that_are_too_large_do_not_keep_the_others_waiting_for_ever(post: Post) -> None:
    for name in ("a.txt", "b.txt"):
        post.drop(f"class-a/{name}", b"x" * 10_001)
    post.drop("class-a/c.txt")
    for _ in range(3):
        post.sweep(limit=1)
    assert post.paths() == ["c.txt"]


def test_a_folder_that_cannot_be_listed_is_never_an_empty_one(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.drop("class-a/a.txt")
    post.drop("class-a/Ida/b.txt")
    post.drop("class-a/.complete", b"")
    post.drop("class-b/c.txt", b"c")
    with monkeypatch.context() as patch:
        refuse_listing(patch, "Ida")
        assert post.sweep() == Sweep(taken=1, unreadable=1)
    with post.shop.ledger.read() as tx:
        assert tx.batches.find("class-a") is None, "its .complete file must not close it"
        assert tx.batches.find("class-b") is not None
    assert post.sweep() == Sweep(taken=2)


def test_a_store_that_fails_leaves_the_file_for_the_next_sweep(post: Post) -> None:
    post.drop("class-a/a.txt")
    post.shop.blobs.fail("put", "raw_upload_blob", times=1)
    with pytest.raises(OSError, match="away"):
        post.sweep()
    assert post.sweep() == Sweep(taken=1)
