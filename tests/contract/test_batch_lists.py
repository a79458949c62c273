"""Lists of batches: what an operator is shown first, and every batch by pages."""

import pytest

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.ledger.records import DeadLetterState
from tests.contract.test_ledger import registration
from tests.support.fakes import ManualClock


def finish(tx: Transaction, batch_id: str) -> None:
    """Close, release and report a batch."""
    tx.batches.close(batch_id, ClosedBy.REQUEST)
    tx.results.release(batch_id, 1, "f", f"batch_manifest/{batch_id}")
    tx.batches.mark_reported(batch_id, "f")


def register(ledger: Ledger, clock: ManualClock, *batch_ids: str) -> None:
    """Register batches, one a second."""
    for batch_id in batch_ids:
        clock.advance(1)
        with ledger.write() as tx:
            later = registration(batch_id).model_copy(update={"registered_at": tx.now})
            tx.batches.register(later)


def test_what_is_not_done_is_listed_with_the_latest_and_nothing_else(
    ledger: Ledger, clock: ManualClock
) -> None:
    names = ("done", "open", "unreported", "unreleased", "given-up", "replayed", "new", "newest")
    register(ledger, clock, *names)
    with ledger.write() as tx:
        for batch_id in ("done", "unreported", "given-up", "replayed", "new", "newest"):
            finish(tx, batch_id)
        tx.batches.touch("unreported")
        tx.batches.close("unreleased", ClosedBy.TIMEOUT)
        tx.batches.mark_reported("unreleased", "f")
        for batch_id in ("given-up", "replayed"):
            tx.failures.add_dead_letter(
                batch_id, "e001", generation=0, reason="OSError", attempts=3, correlation_id="c"
            )
        tx.failures.resolve("replayed", "e001", DeadLetterState.REPLAYED)
    with ledger.read() as tx:
        found = [it.batch_id for it in tx.batches.not_done(or_latest=1, limit=10)]
        assert found == ["newest", "given-up", "unreleased", "unreported", "open"]
        assert [it.batch_id for it in tx.batches.not_done(or_latest=0, limit=2)] == found[1:3]
        assert tx.batches.count() == len(names)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
def test_pages_hold_every_batch_once_also_those_of_one_moment(
    ledger: Ledger, clock: ManualClock, size: int
) -> None:
    register(ledger, clock, "b", "a")
    with ledger.write() as tx:
        for batch_id in ("z", "m", "c"):
            tx.batches.register(registration(batch_id).model_copy(update={"registered_at": tx.now}))
    register(ledger, clock, "d", "e")
    found: list[str] = []
    with ledger.read() as tx:
        last = None
        while page := tx.batches.behind(last, size):
            assert len(page) <= size
            found += [it.batch_id for it in page]
            last = page[-1]
        assert found == [it.batch_id for it in tx.batches.all()]
    assert found == ["e", "d", "a", "c", "m", "z", "b"]
