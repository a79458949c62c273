"""A batch's life: registered, closed, reopened, waived."""

from datetime import timedelta

import pytest

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.ids import InvalidIdError
from huleedu_dagster.domain.outcomes import EssayOutcome
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.ledger.batches import UnknownBatchError
from huleedu_dagster.pipeline import lifecycle
from tests.support.fakes import START
from tests.support.ledger import all_rows, events
from tests.support.workshop import Workshop

TIMED_OUT = "readiness.timed_out"


def close_due(shop: Workshop, quiet_seconds: float = 30) -> int:
    return lifecycle.close_what_is_due(shop.ledger, quiet_seconds=quiet_seconds)


def test_a_batch_is_registered_once_and_left_as_it_is(shop: Workshop) -> None:
    assert shop.register(expected=3)
    before = all_rows(shop.ledger)
    assert not shop.register(expected=9, settings=BatchSettings(language="sv"))
    assert all_rows(shop.ledger) == before


@pytest.mark.parametrize("batch_id", ["", "Class A", "a/b", "å"])
def test_a_batch_outside_the_grammar_is_not_registered(shop: Workshop, batch_id: str) -> None:
    with pytest.raises(InvalidIdError):
        shop.register(batch_id)
    assert all_rows(shop.ledger)["batches"] == []


def test_closing_with_essays_missing_is_told_once_with_what_is_missing(shop: Workshop) -> None:
    shop.register(expected=7)
    for number in range(5):
        shop.receive(f"{number}.txt", str(number).encode())
    assert shop.close()
    assert not shop.close()
    (event,) = events(shop.ledger, TIMED_OUT)
    assert (event["expected_count"], event["received_count"], event["missing_count"]) == (7, 5, 2)
    assert event["missing_essay_ids"] == ["e006", "e007"]
    assert event["closed_by"] == "request"


def test_a_timeout_closes_a_batch_once_from_its_registration(shop: Workshop) -> None:
    shop.register(expected=7, timeout=60)
    shop.clock.advance(50)
    shop.receive("a.txt")
    assert close_due(shop) == 0
    shop.clock.advance(9)
    assert close_due(shop) == 1
    assert close_due(shop) == 0
    (event,) = events(shop.ledger, TIMED_OUT)
    assert (event["closed_by"], event["missing_count"]) == ("timeout", 6)
    assert shop.facts().batch.closed_by is ClosedBy.TIMEOUT


def test_a_deadline_closes_a_batch(shop: Workshop) -> None:
    shop.register(expected=2, deadline=START + timedelta(seconds=5), timeout=1)
    shop.clock.advance(4)
    assert close_due(shop) == 0
    shop.clock.advance(1)
    assert close_due(shop) == 1
    assert shop.facts().batch.closed_by is ClosedBy.DEADLINE


def test_a_full_batch_misses_nothing_and_tells_nothing(shop: Workshop) -> None:
    shop.register(expected=1)
    shop.receive("a.txt")
    assert not shop.close()
    assert events(shop.ledger, TIMED_OUT) == []


def test_a_batch_without_a_count_misses_nothing(shop: Workshop) -> None:
    shop.register()
    shop.close()
    assert events(shop.ledger, TIMED_OUT) == []
    assert shop.view().missing == 0


def test_a_quiet_inbox_batch_closes_and_a_registered_one_does_not(shop: Workshop) -> None:
    shop.register("found", source="inbox")
    shop.register("known", source="cli")
    for batch_id in ("found", "known"):
        shop.receive("a.txt", batch_id=batch_id)
    shop.clock.advance(30)
    assert close_due(shop) == 1
    assert shop.facts("found").batch.closed_by is ClosedBy.QUIET
    assert shop.facts("known").batch.closed_at is None


def test_a_reopened_inbox_batch_is_not_closed_again_before_it_was_quiet_for_a_while(
    shop: Workshop,
) -> None:
    shop.register(source="inbox")
    shop.receive("a.txt")
    shop.clock.advance(1000)
    assert close_due(shop) == 1
    shop.clock.advance(1000)
    shop.intake.reopen("class-a")
    shop.clock.advance(1)
    assert close_due(shop) == 0


def test_changed_settings_start_no_work(shop: Workshop) -> None:
    shop.register()
    shop.receive("a.txt")
    shop.process()
    assert lifecycle.change_settings(shop.ledger, "class-a", BatchSettings(language="sv"))
    assert not lifecycle.change_settings(shop.ledger, "class-a", BatchSettings(language="sv"))
    assert not shop.essay().pending
    with shop.ledger.read() as tx:
        assert [it.batch_id for it in tx.batches.unpublished(9)] == ["class-a"]


def test_a_missing_essay_is_waived_with_a_reason_and_then_the_batch_is_ready(
    shop: Workshop,
) -> None:
    shop.register(expected=2)
    shop.receive("a.txt")
    shop.process()
    shop.close()
    assert not shop.facts().completeness.ready
    assert lifecycle.waive(shop.ledger, "class-a", "e002", "ill")
    assert not lifecycle.waive(shop.ledger, "class-a", "e002", "ill")
    assert shop.facts().completeness.ready
    line = shop.view().essays[1]
    assert (line.essay_id, line.outcome) == ("e002", EssayOutcome.WAIVED)
    assert (shop.view().missing, shop.view().waived) == (0, 1)
    assert shop.facts().waivers == {"e002": "ill"}


def test_a_dead_letter_can_be_waived_and_an_accepted_essay_cannot(shop: Workshop) -> None:
    shop.register(expected=2)
    for name in ("a.txt", "b.txt"):
        shop.receive(name)
    shop.process("e002")
    shop.fail_until_dead("e001")
    assert not shop.facts().completeness.ready
    with pytest.raises(lifecycle.NotWaivableError):
        lifecycle.waive(shop.ledger, "class-a", "e002", "bored")
    assert lifecycle.waive(shop.ledger, "class-a", "e001", "damaged")
    assert shop.facts().completeness.ready
    assert shop.view().essays[0].outcome is EssayOutcome.WAIVED


@pytest.mark.parametrize(
    ("slot", "reason", "error"),
    [
        ("e002", "  ", ValueError),
        ("e003", "none", lifecycle.NotWaivableError),
        ("e001", "pending", lifecycle.NotWaivableError),
        ("batch", "no slot", InvalidIdError),
    ],
)
def test_what_cannot_be_waived_is_refused(
    shop: Workshop, slot: str, reason: str, error: type[Exception]
) -> None:
    shop.register(expected=2)
    shop.receive("a.txt")
    before = all_rows(shop.ledger)
    with pytest.raises(error):
        lifecycle.waive(shop.ledger, "class-a", slot, reason)
    assert all_rows(shop.ledger) == before


def test_a_waiver_of_an_essay_that_came_after_all_does_not_count(shop: Workshop) -> None:
    shop.register(expected=2)
    shop.receive("a.txt")
    lifecycle.waive(shop.ledger, "class-a", "e002", "ill")
    shop.receive("b.txt", b"Two words only, and then some more words.")
    shop.process_pending()
    assert shop.facts().completeness.waived == ()
    assert shop.view().ready == 2


def test_nothing_is_done_to_a_batch_that_nobody_registered(shop: Workshop) -> None:
    with pytest.raises(UnknownBatchError):
        shop.close()
    with pytest.raises(UnknownBatchError):
        lifecycle.waive(shop.ledger, "class-a", "e001", "ill")
    with pytest.raises(UnknownBatchError):
        lifecycle.change_settings(shop.ledger, "class-a", BatchSettings())
