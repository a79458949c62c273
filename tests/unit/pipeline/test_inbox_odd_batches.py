"""The inbox beside batches that no present version would have recorded: none stops another."""

import uuid
from math import inf

import pytest
import sqlalchemy as sa

from huleedu_dagster.domain.registration import Registration
from huleedu_dagster.ledger.tables import batches
from huleedu_dagster.pipeline import inbox_sweep, lifecycle
from huleedu_dagster.pipeline.inbox import Sweep
from huleedu_dagster.pipeline.inbox_sweep import Sweeper
from tests.support.lines import captured
from tests.unit.pipeline.posting import Post


@pytest.mark.parametrize("timeout", [inf, 1e18])
def test_a_class_with_an_endless_timeout_of_an_older_version_is_taken_in(
    post: Post, timeout: float
) -> None:
    with post.shop.ledger.write() as tx:
        tx.batches.register(
            Registration(
                batch_id="class-a",
                registered_at=tx.now,
                correlation_id=str(uuid.uuid4()),
                timeout_seconds=timeout,
            )
        )
    post.drop("class-a/essay.txt")
    post.drop("class-b/essay.txt")
    assert post.sweep().taken == 2
    assert post.paths("class-a") == post.paths("class-b") == ["essay.txt"]
    assert lifecycle.close_what_is_due(post.shop.ledger, quiet_seconds=1e6) == 0


def test_a_class_whose_record_is_damaged_stops_no_other(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of this process, which other tests may have told of a class of this name.
    monkeypatch.setattr(inbox_sweep, "_TOLD", {})
    post.shop.register("class-a")
    with post.shop.ledger.write() as tx:
        tx.connection.execute(sa.update(batches).values(settings={"colour": "red"}))
    post.drop("class-a/essay.txt")
    post.drop("class-b/essay.txt")

    with captured() as lines:
        assert post.sweep() == Sweep(taken=1, unreadable=1)
        post.sweep()

    assert post.paths("class-b") == ["essay.txt"]
    told = [it for it in lines.text.splitlines() if "a class cannot be taken in" in it]
    assert len(told) == 1, "it is told when it changes"
    assert lines(batch_id="class-a", phase="inbox")


def test_a_class_with_a_file_that_brings_a_defect_to_light_is_not_quiet(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.drop("class-a/a.txt")
    post.sweep()
    post.drop("class-a/b.txt", b"b")
    post.shop.clock.advance(60)

    def broken(*_: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(Sweeper, "_take_in", broken)
    assert post.sweep() == Sweep(unreadable=1)
    assert post.shop.facts().batch.last_received_at == post.shop.clock.now
