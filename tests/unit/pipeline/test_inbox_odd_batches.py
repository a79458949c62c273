"""The inbox beside batches that no present version would have recorded: none stops another."""

import uuid
from math import inf

import pytest
import sqlalchemy as sa

from huleedu_dagster.domain.registration import Registration
from huleedu_dagster.ledger.tables import batches
from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.pipeline.inbox import Sweep
from huleedu_dagster.pipeline.inbox_sweep import Sweeper
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
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    post.shop.register("class-a")
    with post.shop.ledger.write() as tx:
        tx.connection.execute(sa.update(batches).values(settings={"colour": "red"}))
    post.drop("class-a/essay.txt")
    post.drop("class-b/essay.txt")

    assert post.sweep() == Sweep(taken=1, unreadable=1)

    assert post.paths("class-b") == ["essay.txt"]
    (line,) = [it for it in caplog.records if it.getMessage() == "a class cannot be taken in"]
    assert line.__dict__["batch_id"] == "class-a"
    before = len(caplog.records)
    post.sweep()
    assert len(caplog.records) == before, "it is told when it changes"


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
