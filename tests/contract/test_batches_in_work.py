"""What sensors ask the ledger for at every tick: found without a look at what is done."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from math import inf
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from huleedu_dagster.domain.completeness import ClosedBy, due_to_close
from huleedu_dagster.domain.registration import BatchSettings, Registration
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.ledger.records import Batch
from huleedu_dagster.pipeline import lifecycle
from tests.contract.test_ledger import registration, upload
from tests.support.fakes import START, ManualClock
from tests.support.ledger import new_ledger

QUIET = 30.0
SECONDS = (None, 59.0, 59.999999, 60.0, 60.000001, 61.0, 4_000.0)


def every_kind() -> list[Registration]:
    """Batches that close by each rule or by none, around a minute after their registration."""
    timeouts = (*SECONDS, 1e18, inf)
    kinds = itertools.product(SECONDS, timeouts, (None, 1, 2), ("cli", "inbox"))
    return [
        Registration(
            batch_id=f"b{number}",
            registered_at=START + timedelta(microseconds=number),
            correlation_id="0" * 36,
            settings=BatchSettings(),
            deadline=None if deadline is None else START + timedelta(seconds=deadline),
            timeout_seconds=timeout,
            expected_essay_count=expected,
            source=source,
        )
        for number, (deadline, timeout, expected, source) in enumerate(kinds)
    ]


def is_due(tx: Transaction, batch: Batch) -> bool:
    reason = due_to_close(
        batch.registration,
        received=tx.essays.count(batch.batch_id),
        last_received_at=batch.last_received_at,
        quiet_seconds=QUIET,
        now=tx.now,
    )
    return reason is not None


def fill(tx: Transaction) -> None:
    """Register a batch of every kind with an essay, received at once or 59 s later."""
    for number, kind in enumerate(every_kind()):
        tx.batches.register(kind)
        received = replace(upload(number), batch_id=kind.batch_id)
        tx.essays.add_uploads([received])
        tx.essays.fill_slots([received])
        later = timedelta(seconds=number % 2 * 59)
        tx.batches.touch(kind.batch_id, received_at=START + later)


@pytest.mark.parametrize("after", [0, 59, 60, 61])
def test_what_it_is_time_to_close_is_found_as_the_rule_has_it(
    ledger: Ledger, clock: ManualClock, after: float
) -> None:
    with ledger.write() as tx:
        fill(tx)
    clock.advance(after)
    with ledger.read() as tx:
        expected = {it.batch_id for it in tx.batches.open() if is_due(tx, it)}
        found = {it.batch_id for it in tx.batches.closing(QUIET)}
    assert expected
    assert found >= expected
    assert lifecycle.close_what_is_due(ledger, quiet_seconds=QUIET) == len(expected)
    with ledger.read() as tx:
        assert {it.batch_id for it in tx.batches.all() if it.closed_at} == expected
        assert [it for it in tx.batches.closing(QUIET) if it.batch_id in expected] == []


def test_a_batch_that_is_long_from_closing_is_not_looked_at(
    ledger: Ledger, clock: ManualClock
) -> None:
    with ledger.write() as tx:
        later = {"deadline": START + timedelta(hours=1), "expected_essay_count": 3}
        tx.batches.register(registration("later").model_copy(update=later))
    clock.advance(3_598)
    with ledger.read() as tx:
        assert tx.batches.closing(QUIET) == []


def test_unreported_batches_are_given_those_closed_first_and_some_left_out(
    ledger: Ledger, clock: ManualClock
) -> None:
    with ledger.write() as tx:
        for batch_id in ("d", "c", "b", "a"):
            tx.batches.register(registration(batch_id))
    for batch_id in ("d", "c", "b", "a"):
        clock.advance(1)
        lifecycle.close(ledger, batch_id, ClosedBy.REQUEST)
    with ledger.read() as tx:
        found = [it.batch_id for it in tx.batches.unreported(2, without={"d"})]
        assert found == ["c", "b"]
        assert len(tx.batches.unreported()) == 4


ASKED: list[tuple[Callable[[Transaction], object], str]] = [
    (lambda tx: tx.batches.closing(QUIET), "ix_batches_open"),
    (lambda tx: tx.batches.unreported(), "ix_batches_unreported"),
    (lambda tx: tx.batches.unreported(), "ix_essays_waiting"),
    (lambda tx: tx.batches.unpublished(200), "ix_batches_unpublished"),
    (lambda tx: tx.essays.due(2_000), "ix_essays_due_batch_id"),
]


@pytest.mark.parametrize(("ask", "index"), ASKED, ids=[index for _, index in ASKED])
def test_sqlite_looks_only_at_what_is_in_work(
    tmp_path: Path, ask: Callable[[Transaction], object], index: str
) -> None:
    # That Postgres does is shown with many batches: of a few it reads all.
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_more: Any) -> None:
        asked.append((statement, values))

    ledger = new_ledger(tmp_path / "ledger.db")
    with ledger.read() as tx:
        sa.event.listen(tx.connection, "before_cursor_execute", note)
        ask(tx)
        sa.event.remove(tx.connection, "before_cursor_execute", note)
        ((statement, values),) = asked
        plan = tx.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        steps = [row.detail for row in plan]
    ledger.close()
    assert any(index in it for it in steps), steps
    scans = [it for it in steps if it.startswith(("SCAN batches", "SCAN essays", "SCAN uploads"))]
    assert [it for it in scans if "INDEX" not in it] == []
