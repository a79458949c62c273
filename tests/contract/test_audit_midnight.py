"""What is done about midnight is told on one day by all that tells of it, on every database."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from huleedu_dagster.domain.outcomes import EssayOutcome, Stage
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.ledger.audit_facts import Days
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.pipeline.history import history_of_day
from huleedu_dagster.pipeline.reprocessing import reprocess
from huleedu_dagster.reports.audit import stored_report, write_audit_report
from huleedu_dagster.reports.audit_checks import recounted_agree
from tests.support.at_once import at_once
from tests.support.fakes import START, ManualClock
from tests.support.ledger import events
from tests.support.workshop import Workshop

MIDNIGHT = (START + timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)
BEFORE = (MIDNIGHT - timedelta(days=1)).date()
AFTER = MIDNIGHT.date()
MOMENT = timedelta(milliseconds=50)
TO_TEXT = frozenset({Stage.RAW_UPLOAD, Stage.EXTRACTED_PLAINTEXT})
TO_VALIDATION = TO_TEXT | {Stage.VALIDATION_RESULT}


@pytest.fixture
def shop(ledger: Ledger, clock: ManualClock, tmp_path: Path) -> Workshop:
    """An installation whose journal began two days before midnight."""
    found = Workshop(tmp_path, ledger=ledger)
    found.clock = clock
    found.register(expected=4)
    clock.now = MIDNIGHT
    return found


def differing(shop: Workshop, *days: date) -> dict[str, list[str]]:
    """What is another number when it is counted again, by day."""
    found = {}
    with shop.ledger.read() as tx:
        for day in days:
            found[day.isoformat()] = recounted_agree(
                tx.audit.totals(day), tx.audit.recount(Days.one(day))
            )
    return {day: names for day, names in found.items() if names}


def hand_in(shop: Workshop, path: str, data: bytes) -> None:
    with shop.intake.submission("class-a") as submission:
        submission.receive(path, data)


def test_a_file_that_waited_for_another_is_in_the_journal_on_the_day_of_its_receipt(
    shop: Workshop,
) -> None:
    # As if two requests wait for the batch, and the later one comes first: times stay in order.
    shop.clock.now = MIDNIGHT + MOMENT
    hand_in(shop, "a.txt", b"one")
    shop.clock.now = MIDNIGHT - MOMENT
    hand_in(shop, "b.txt", b"two")
    with shop.ledger.read() as tx:
        assert tx.audit.totals(BEFORE)["received"] == 0
        assert tx.audit.totals(AFTER)["received"] == 2
    assert [it.record.amount for it in history_of_day(shop.ledger, AFTER)] == [1, 1]
    assert differing(shop, BEFORE, AFTER) == {}


def test_files_of_one_request_are_in_the_journal_on_the_days_of_their_receipt(
    shop: Workshop,
) -> None:
    shop.clock.now = MIDNIGHT - timedelta(microseconds=1)
    with shop.intake.submission("class-a") as submission:
        for number in range(3):
            submission.receive(f"{number}.txt", b"%d" % number)
    with shop.ledger.read() as tx:
        assert [tx.audit.totals(it)["received"] for it in (BEFORE, AFTER)] == [1, 2]
    assert differing(shop, BEFORE, AFTER) == {}


def test_an_essay_is_told_to_have_failed_when_its_outcome_is_recorded(shop: Workshop) -> None:
    shop.clock.now = MIDNIGHT - timedelta(hours=1)
    hand_in(shop, "a.txt", b"")
    shop.process(stages=TO_TEXT)
    assert shop.essay().pending
    assert events(shop.ledger, "essay_validation") == []
    shop.clock.now = MIDNIGHT + timedelta(hours=1)
    shop.process()
    assert len(events(shop.ledger, "essay_validation")) == 1
    with shop.ledger.read() as tx:
        assert [tx.audit.totals(it)["rejected"] for it in (BEFORE, AFTER)] == [0, 1]
    assert differing(shop, BEFORE, AFTER) == {}


def test_an_essay_that_is_accepted_in_the_end_was_not_rejected(shop: Workshop) -> None:
    hand_in(shop, "a.txt", b"too short")
    shop.process(stages=TO_VALIDATION)
    lifecycle.change_settings(shop.ledger, "class-a", BatchSettings(min_words=1))
    shop.process()
    with shop.ledger.read() as tx:
        assert tx.audit.totals(AFTER)["accepted"] == 1
    assert differing(shop, AFTER) == {}


def test_a_dead_letter_is_told_to_have_failed_when_its_outcome_is_recorded(shop: Workshop) -> None:
    shop.clock.now = MIDNIGHT - timedelta(hours=1)
    hand_in(shop, "a.txt", b"")
    shop.fail_until_dead()
    shop.process(stages=TO_VALIDATION)
    assert shop.facts().outcome(shop.essay()) is EssayOutcome.DEAD_LETTERED
    assert events(shop.ledger, "essay_validation") == []
    shop.clock.now = MIDNIGHT + timedelta(hours=1)
    reprocess(shop.ledger, "class-a")
    shop.process()
    assert len(events(shop.ledger, "essay_validation")) == 1
    with shop.ledger.read() as tx:
        assert [tx.audit.totals(it)["rejected"] for it in (BEFORE, AFTER)] == [0, 1]
    assert differing(shop, BEFORE, AFTER) == {}


def test_a_dead_letter_that_is_accepted_in_the_end_was_not_rejected(shop: Workshop) -> None:
    hand_in(shop, "a.txt", b"too short")
    shop.fail_until_dead()
    shop.process(stages=TO_VALIDATION)
    lifecycle.change_settings(shop.ledger, "class-a", BatchSettings(min_words=1))
    reprocess(shop.ledger, "class-a")
    shop.process()
    assert shop.facts().outcome(shop.essay()) is EssayOutcome.ACCEPTED
    assert events(shop.ledger, "essay_validation") == []
    assert differing(shop, AFTER) == {}


def test_an_essay_that_has_its_outcome_is_told_to_fail_when_its_validation_does(
    shop: Workshop,
) -> None:
    hand_in(shop, "a.txt", b"two words")
    lifecycle.change_settings(shop.ledger, "class-a", BatchSettings(min_words=1))
    shop.process()
    lifecycle.change_settings(shop.ledger, "class-a", BatchSettings())
    shop.process(stages=TO_VALIDATION)
    assert shop.facts().outcome(shop.essay()) is EssayOutcome.REJECTED
    assert len(events(shop.ledger, "essay_validation")) == 1
    assert differing(shop, AFTER) == {}


def test_two_reports_of_one_day_at_once_are_one(shop: Workshop) -> None:
    hand_in(shop, "a.txt", b"one")
    reports = at_once(4, lambda: write_audit_report(shop.ledger, shop.blobs, AFTER))
    assert len({it.sha256 for it in reports}) == 1
    assert stored_report(shop.ledger, shop.blobs, AFTER)["totals"] == reports[0].totals
