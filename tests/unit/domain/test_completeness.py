"""When a batch is closed, settled and ready, against a plain restatement of the rule."""

from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huleedu_dagster.domain.completeness import (
    BatchStatus,
    ClosedBy,
    assess,
    batch_status,
    due_to_close,
    missing_slots,
)
from huleedu_dagster.domain.ids import slot_id
from huleedu_dagster.domain.outcomes import EssayOutcome
from huleedu_dagster.domain.registration import Registration
from tests.support.fakes import START

OUTCOMES = st.sampled_from(
    [
        EssayOutcome.ACCEPTED,
        EssayOutcome.REJECTED,
        EssayOutcome.DEAD_LETTERED,
        EssayOutcome.PENDING,
    ]
)


@st.composite
def batches(
    draw: st.DrawFn,
) -> tuple[int | None, dict[str, EssayOutcome], frozenset[str], bool]:
    found = draw(st.lists(OUTCOMES, max_size=6))
    expected = draw(st.none() | st.integers(min_value=max(len(found), 1), max_value=9))
    waived = draw(st.frozensets(st.integers(1, 9).map(slot_id)))
    outcomes = {slot_id(place): it for place, it in enumerate(found, start=1)}
    return expected, outcomes, waived, draw(st.booleans())


@given(batches())
def test_settled_and_ready_are_what_the_requirements_say(
    batch: tuple[int | None, dict[str, EssayOutcome], frozenset[str], bool],
) -> None:
    expected, outcomes, waived, closed = batch
    found = assess(expected=expected, outcomes=outcomes, waived=waived, closed=closed)
    everything = [slot_id(number) for number in range(1, (expected or len(outcomes)) + 1)]
    missing = [it for it in everything if it not in outcomes]
    dead = [it for it in outcomes if outcomes[it] is EssayOutcome.DEAD_LETTERED]
    pending = [it for it in outcomes if outcomes[it] is EssayOutcome.PENDING]

    assert found.settled == (closed and not pending)
    assert found.ready == (
        closed and not pending and set(missing) <= waived and set(dead) <= waived
    )
    assert found.missing == tuple(it for it in missing if it not in waived)
    assert found.dead_lettered == tuple(it for it in dead if it not in waived)
    assert sorted(found.waived) == sorted(it for it in [*missing, *dead] if it in waived)
    assert found.pending == tuple(pending)
    assert found.received == len(outcomes)
    counts = found.accepted + found.rejected + len(pending) + len(dead)
    assert counts == found.received


@given(batches())
def test_a_batch_is_reported_as_ready_only_when_it_is_ready_and_reported(
    batch: tuple[int | None, dict[str, EssayOutcome], frozenset[str], bool],
) -> None:
    expected, outcomes, waived, closed = batch
    found = assess(expected=expected, outcomes=outcomes, waived=waived, closed=closed)
    told = batch_status(found, reported=True)
    assert (told is BatchStatus.READY) == found.ready
    assert (told is BatchStatus.RECEIVING) == (not closed)
    assert (told is BatchStatus.INCOMPLETE) == (found.settled and not found.ready)
    untold = batch_status(found, reported=False)
    assert untold is (BatchStatus.PROCESSING if closed else BatchStatus.RECEIVING)


def test_a_waiver_of_an_accepted_essay_changes_nothing() -> None:
    outcomes = {"e001": EssayOutcome.ACCEPTED}
    plain = assess(expected=1, outcomes=outcomes, waived=frozenset(), closed=True)
    waived = assess(expected=1, outcomes=outcomes, waived=frozenset({"e001"}), closed=True)
    assert plain == waived


def test_a_rejected_essay_does_not_keep_a_batch_from_being_ready() -> None:
    outcomes = {"e001": EssayOutcome.REJECTED}
    assert assess(expected=1, outcomes=outcomes, waived=frozenset(), closed=True).ready


def test_missing_slots_are_the_last_ones() -> None:
    assert missing_slots(7, 5) == ("e006", "e007")
    assert missing_slots(2, 2) == ()
    assert missing_slots(None, 0) == ()


QUIET = 30.0


def due(
    now: datetime,
    *,
    received: int = 1,
    last: datetime | None = START,
    **values: Any,
) -> ClosedBy | None:
    known: dict[str, object] = {
        "batch_id": "a",
        "registered_at": START,
        "correlation_id": "00000000-0000-0000-0000-000000000000",
    }
    registration = Registration.model_validate({**known, **values})
    return due_to_close(
        registration, received=received, last_received_at=last, quiet_seconds=QUIET, now=now
    )


def later(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_a_batch_closes_when_it_is_full_whatever_the_clock_says() -> None:
    assert due(START, received=3, expected_essay_count=3) is ClosedBy.FULL
    assert due(START, received=2, expected_essay_count=3) is None
    assert due(START, received=3, expected_essay_count=3, timeout_seconds=9) is ClosedBy.FULL


def test_a_batch_closes_at_its_deadline_and_the_timeout_then_plays_no_part() -> None:
    values: dict[str, Any] = {
        "expected_essay_count": 3,
        "deadline": later(100),
        "timeout_seconds": 10,
    }
    assert due(later(99), **values) is None
    assert due(later(100), **values) is ClosedBy.DEADLINE


def test_a_batch_without_a_deadline_closes_after_its_timeout_from_registration() -> None:
    values: dict[str, Any] = {"expected_essay_count": 3, "timeout_seconds": 10}
    assert due(later(9.9), last=later(9), **values) is None
    assert due(later(10), last=later(9), **values) is ClosedBy.TIMEOUT
    assert due(later(10), received=0, last=None, **values) is ClosedBy.TIMEOUT


@pytest.mark.parametrize("timeout", [inf, 1e18])
def test_a_timeout_whose_end_no_calendar_holds_never_closes_a_batch(timeout: float) -> None:
    assert due(later(1e9), received=0, last=None, timeout_seconds=timeout) is None
    assert due(later(1e9), received=1, timeout_seconds=timeout) is None
    full = due(START, received=3, expected_essay_count=3, timeout_seconds=timeout)
    assert full is ClosedBy.FULL


def test_a_deadline_on_the_last_day_of_the_calendar_is_a_deadline() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    assert due(later(1e9), deadline=last) is None
    assert due(last, deadline=last) is ClosedBy.DEADLINE


def test_an_inbox_folder_that_nobody_registered_closes_after_a_quiet_time() -> None:
    assert due(later(29.9), source="inbox") is None
    assert due(later(30), source="inbox") is ClosedBy.QUIET
    assert due(later(59), source="inbox", last=later(30)) is None


@pytest.mark.parametrize(
    "values",
    [
        {"source": "cli"},
        {"source": "api", "expected_essay_count": 3},
        {"source": "inbox", "expected_essay_count": 3},
        {"source": "inbox", "deadline": START + timedelta(days=365)},
    ],
)
def test_quiet_closes_no_batch_that_has_a_count_a_clock_or_a_registration(
    values: dict[str, Any],
) -> None:
    assert due(later(1_000_000), **values) is None


def test_an_empty_inbox_folder_does_not_close_by_being_quiet() -> None:
    assert due(later(1_000), source="inbox", received=0, last=None) is None
