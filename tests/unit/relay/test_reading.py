"""The outbox is read in order, and what becomes visible late is not lost."""

import sqlite3
from itertools import islice

import pytest
from sqlalchemy.exc import OperationalError

from huleedu_dagster.domain.events import EVENT_MODELS
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.relay.reading import PAGE, POLL_SECONDS, follow, recorded, recorded_after
from tests.unit.relay.events import NotedStop, record, take_away, uploads


def test_a_missing_number_keeps_nobody_waiting(ledger: Ledger) -> None:
    record(ledger, "one", "two", "three")
    take_away(ledger, 2)
    assert [seq for seq, _ in recorded_after(ledger, 0)] == [1, 3]


def test_following_goes_on_with_what_is_recorded_later_and_stops_when_asked(
    ledger: Ledger,
) -> None:
    record(ledger, "one", "two")
    looks = iter(range(100))

    def later() -> bool:
        look = next(looks)
        record(ledger, f"later-{look}")
        return look == 3

    stop = NotedStop(when=later)
    found = [envelope for _, envelope in follow(ledger, after=1, stop=stop)]

    assert [it["data"]["upload_id"] for it in found] == ["two", "later-0", "later-1", "later-2"]
    assert set(stop.pauses) == {POLL_SECONDS}
    assert POLL_SECONDS >= 0.5


def test_following_reads_more_than_a_page(ledger: Ledger) -> None:
    record(ledger, *(f"u{number}" for number in range(1203)))
    found = [seq for seq, _ in follow(ledger, after=0, stop=NotedStop(when=lambda: True))]
    assert found == list(range(1, 1204))


@pytest.mark.parametrize("count", [0, 1, PAGE, PAGE + 1, 2 * PAGE])
def test_what_is_recorded_is_read_once_whatever_the_number_of_pages(
    ledger: Ledger, count: int
) -> None:
    record(ledger, "first", "second")
    record(ledger, *(f"u{number}" for number in range(count)))
    assert [seq for seq, _ in recorded(ledger, after=2)] == list(range(3, count + 3))


def test_of_one_batch_its_own_events_are_read(ledger: Ledger) -> None:
    for number in range(3):
        record(ledger, f"mine-{number}")
        record(ledger, f"other-{number}", batch_id="class-9e")
    found = recorded(ledger, "class-9e", after=2)
    assert uploads([it for _, it in found]) == ["other-1", "other-2"]


def test_recorded_events_are_held_a_page_at_a_time(ledger: Ledger) -> None:
    record(ledger, *(f"u{number}" for number in range(PAGE)))
    found = recorded(ledger)
    next(found)
    # Were all read at once, this would come too late.
    record(ledger, "later")
    assert [seq for seq, _ in found] == list(range(2, PAGE + 2))


class Failing:
    """A ledger whose database is locked for the next reads."""

    def __init__(self, ledger: Ledger, times: int) -> None:
        self._ledger = ledger
        self._times = times
        self.url = ledger.url

    def read(self) -> object:
        if self._times:
            self._times -= 1
            raise OperationalError("", {}, sqlite3.OperationalError("database is locked"))
        return self._ledger.read()


def test_a_ledger_that_is_locked_for_a_while_is_waited_for(ledger: Ledger) -> None:
    record(ledger, "one")
    stop = NotedStop()
    locked: Ledger = Failing(ledger, times=5)  # type: ignore[assignment]

    found = follow(locked, after=0, stop=stop, unavailable=(OperationalError,))

    assert [seq for seq, _ in islice(found, 1)] == [1]
    assert stop.pauses == [0.5, 1, 2, 4, 5]


def test_a_ledger_that_stays_locked_ends_the_following_with_its_error(ledger: Ledger) -> None:
    locked: Ledger = Failing(ledger, times=10**6)  # type: ignore[assignment]
    found = follow(locked, after=0, stop=NotedStop(), unavailable=(OperationalError,), patience=0.1)
    with pytest.raises(OperationalError):
        list(found)


def test_a_wish_to_stop_ends_the_wait_for_a_locked_ledger(ledger: Ledger) -> None:
    locked: Ledger = Failing(ledger, times=10**6)  # type: ignore[assignment]
    stop = NotedStop(when=lambda: True)
    assert list(follow(locked, after=0, stop=stop, unavailable=(OperationalError,))) == []


def test_every_event_names_its_batch_so_that_it_can_be_followed() -> None:
    assert [it.__name__ for it in EVENT_MODELS if "batch_id" not in it.model_fields] == []
