"""The journal of who did what, on every database: one line for each deed, none for what is none."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from huleedu_dagster.domain.access import Scope
from huleedu_dagster.domain.actions import INBOX, SYSTEM, Action, Actor
from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.ledger.actions import ActionCount
from huleedu_dagster.ledger.failures import UnknownDeadLetterError
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.pipeline.history import history_of_batch, history_of_day
from huleedu_dagster.pipeline.intake import Intake
from huleedu_dagster.pipeline.reprocessing import reprocess
from huleedu_dagster.pipeline.submission import GROUP_FILES
from tests.support.at_once import at_once
from tests.support.fakes import START, ManualClock
from tests.support.ledger import all_rows, deeds, facts, from_ledger, suppressed
from tests.support.workshop import GOOD, Workshop

ANNA = Actor.operator("anna")
PORTAL = Actor.token("0123456789abcdef")
BATCH = "class-a"
REQUEST = "7" * 36


@pytest.fixture
def shop(ledger: Ledger, clock: ManualClock, tmp_path: Path) -> Workshop:
    """An installation on whose ledger Anna acts."""
    found = Workshop(tmp_path, ledger=ledger.acting(ANNA))
    found.clock = clock
    return found


def news(shop: Workshop, act: Callable[[], object]) -> list[tuple[str, str, int]]:
    """What an act adds to the journal."""
    before = len(deeds(shop.ledger))
    act()
    return deeds(shop.ledger)[before:]


def anna(action: Action, amount: int = 1) -> tuple[str, str, int]:
    return ("operator:anna", action, amount)


def system(action: Action) -> tuple[str, str, int]:
    return ("system:pipeline", action, 1)


def dead_letter(shop: Workshop) -> int:
    """An essay whose runs failed too often; gives the number of its dead letter."""
    shop.fail_until_dead()
    (letter,) = lifecycle.dead_letters(shop.ledger)
    return letter.dead_letter_id


def test_a_batchs_life_is_told_with_those_who_acted(shop: Workshop, ledger: Ledger) -> None:
    shop.register(expected=3)
    shop.hand_in("a.txt", "b.txt")
    shop.close()
    shop.intake.reopen(BATCH)
    lifecycle.waive(shop.ledger, BATCH, "e003", "ill")
    lifecycle.change_settings(shop.ledger, BATCH, BatchSettings(language="sv"))
    shop.close()
    shop.process_pending()
    by_a_run = Workshop(shop.folder, ledger=ledger)
    by_a_run.release()
    reprocess(shop.ledger, BATCH)
    assert deeds(ledger) == [
        anna(Action.REGISTERED),
        anna(Action.RECEIVED, 2),
        anna(Action.CLOSED),
        anna(Action.REOPENED),
        anna(Action.WAIVED),
        anna(Action.SETTINGS_CHANGED),
        anna(Action.CLOSED),
        system(Action.RELEASED),
        anna(Action.REPROCESSED, 2),
    ]


def test_what_is_done_already_is_no_deed(shop: Workshop) -> None:
    shop.register(expected=2)
    shop.hand_in("a.txt")
    lifecycle.waive(shop.ledger, BATCH, "e002", "ill")
    shop.process()
    shop.close()
    shop.release()
    before = all_rows(shop.ledger)["actions"]
    shop.register(expected=2)
    lifecycle.waive(shop.ledger, BATCH, "e002", "ill")
    lifecycle.change_settings(shop.ledger, BATCH, BatchSettings())
    shop.close()
    shop.release()
    lifecycle.close_what_is_due(shop.ledger, quiet_seconds=0)
    assert all_rows(shop.ledger)["actions"] == before


def test_what_fails_is_no_deed(shop: Workshop) -> None:
    shop.register(expected=2)
    shop.hand_in("a.txt")
    number = dead_letter(shop)
    lifecycle.replay(shop.ledger, number)
    before = all_rows(shop.ledger)["actions"]
    for act, error in (
        (lambda: lifecycle.replay(shop.ledger, number), lifecycle.NotReplayableError),
        (lambda: lifecycle.replay(shop.ledger, 99), UnknownDeadLetterError),
        (lambda: lifecycle.waive(shop.ledger, BATCH, "e001", "x"), lifecycle.NotWaivableError),
        (lambda: lifecycle.waive(shop.ledger, BATCH, "e002", ""), lifecycle.EmptyReasonError),
        (lambda: reprocess(shop.ledger, BATCH, ["e001", "e002"]), LookupError),
        (lambda: shop.close("class-b"), LookupError),
        (lambda: shop.intake.reopen("class-b"), LookupError),
    ):
        with pytest.raises(error):
            act()
    assert all_rows(shop.ledger)["actions"] == before


def test_a_deed_that_is_rolled_back_was_none(shop: Workshop) -> None:
    def fail(_tx: Transaction, _registration: object) -> None:
        raise RuntimeError("broken off")

    with pytest.raises(RuntimeError, match="broken off"):
        lifecycle.register(shop.ledger, BATCH, settings=BatchSettings(), and_then=fail)
    assert deeds(shop.ledger) == []


@pytest.mark.parametrize("again", [1, 2])
def test_files_handed_in_again_are_one_line_each_time_and_change_nothing_else(
    shop: Workshop, again: int
) -> None:
    shop.register(expected=3)
    shop.hand_in("a.txt", "b.txt")
    before, journal = facts(shop.ledger), deeds(shop.ledger)
    for _ in range(again):
        shop.hand_in("a.txt", "b.txt", correlation_id=REQUEST)
    assert facts(shop.ledger) == before
    assert deeds(shop.ledger) == [*journal, *[anna(Action.UNCHANGED, 2)] * again]
    assert all_rows(shop.ledger)["actions"][-1]["correlation_id"] == REQUEST
    assert suppressed(shop.ledger) == 2 * again


def test_a_request_with_old_and_new_files_tells_of_both(shop: Workshop) -> None:
    shop.register(expected=3)
    shop.hand_in("a.txt")
    found = news(shop, lambda: shop.hand_in("a.txt", "b.txt", "a.txt", "c.txt"))
    assert found == [
        anna(Action.RECEIVED),
        anna(Action.RECEIVED),
        system(Action.CLOSED),
        anna(Action.UNCHANGED, 2),
    ]


def test_excess_and_late_files_are_received_too(shop: Workshop) -> None:
    shop.register(expected=1)
    assert news(shop, lambda: shop.hand_in("a.txt", "b.txt")) == [
        anna(Action.RECEIVED, 2),
        system(Action.CLOSED),
    ]
    shop.register("class-b", expected=2)
    shop.close("class-b")
    found = news(shop, lambda: shop.hand_in("late.txt", batch_id="class-b"))
    assert found == [anna(Action.RECEIVED)]


def test_many_files_are_received_in_groups_that_add_up(shop: Workshop) -> None:
    shop.register()
    names = [f"{number}.txt" for number in range(GROUP_FILES + 2)]
    found = news(shop, lambda: shop.hand_in(*names))
    assert found == [anna(Action.RECEIVED, GROUP_FILES), anna(Action.RECEIVED, 2)]


def test_a_finished_submission_that_is_finished_again_tells_nothing_more(shop: Workshop) -> None:
    shop.register(expected=2)
    shop.hand_in("a.txt")
    submission = shop.intake.submission(BATCH)
    submission.receive("a.txt", GOOD)
    assert news(shop, submission.finish) == [anna(Action.UNCHANGED)]
    assert news(shop, submission.finish) == []
    submission.receive("a.txt", GOOD)
    assert news(shop, submission.finish) == [anna(Action.UNCHANGED)]
    assert suppressed(shop.ledger) == 2


def test_a_request_that_the_store_breaks_off_tells_only_what_it_promised(shop: Workshop) -> None:
    shop.register(expected=3)
    shop.hand_in("a.txt")
    shop.blobs.fail("put", "raw_upload_blob", times=1)

    def hand_in() -> None:
        with pytest.raises(OSError, match="away"):
            shop.hand_in("a.txt", "b.txt")

    assert news(shop, hand_in) == []
    assert suppressed(shop.ledger) == 0


def test_two_who_hand_in_the_same_at_once_are_told_as_one_who_brought_it_and_one_who_did_not(
    shop: Workshop,
) -> None:
    shop.register(expected=3)
    at_once(2, lambda: shop.hand_in("a.txt", "b.txt"))
    found = deeds(shop.ledger)[1:]
    received = sum(amount for _, action, amount in found if action == Action.RECEIVED)
    unchanged = sum(amount for _, action, amount in found if action == Action.UNCHANGED)
    assert (received, unchanged) == (2, 2) == (2, suppressed(shop.ledger))


def test_a_sensor_that_closes_what_is_due_is_the_system(shop: Workshop, ledger: Ledger) -> None:
    shop.register(expected=2, timeout=60)
    shop.hand_in("a.txt")
    shop.clock.advance(100)

    def tick() -> None:
        assert lifecycle.close_what_is_due(ledger, quiet_seconds=30) == 1

    assert news(shop, tick) == [system(Action.CLOSED)]


@pytest.mark.parametrize("reason", [it for it in ClosedBy if it is not ClosedBy.REQUEST])
def test_nobody_is_said_to_have_closed_what_it_was_time_to_close(
    shop: Workshop, reason: ClosedBy
) -> None:
    shop.register()
    assert news(shop, lambda: shop.close(reason=reason)) == [system(Action.CLOSED)]


def test_opening_again_is_a_deed_where_it_opens_or_lifts_a_deadline(shop: Workshop) -> None:
    shop.register(deadline=START + timedelta(days=1))

    def reopen() -> None:
        shop.intake.reopen(BATCH)

    assert news(shop, reopen) == [anna(Action.REOPENED)]
    assert news(shop, reopen) == []
    shop.close()
    assert news(shop, reopen) == [anna(Action.REOPENED)]


def test_late_files_that_fill_a_batch_when_it_is_opened_close_it_again(shop: Workshop) -> None:
    shop.register(expected=1)
    shop.close()
    shop.hand_in("late.txt")
    found = news(shop, lambda: shop.intake.reopen(BATCH))
    assert found == [anna(Action.REOPENED), system(Action.CLOSED)]


def test_a_dead_letter_is_replayed_once_whoever_asks_for_it_at_the_same_time(
    shop: Workshop,
) -> None:
    shop.register(expected=1)
    shop.hand_in("a.txt")
    number = dead_letter(shop)
    refused: list[lifecycle.NotReplayableError] = []

    def replay() -> None:
        try:
            lifecycle.replay(shop.ledger, number)
        except lifecycle.NotReplayableError as error:
            refused.append(error)

    found = news(shop, lambda: at_once(4, replay))
    assert found == [anna(Action.REPLAYED)]
    assert len(refused) == 3
    assert shop.essay().generation == 1


def test_working_over_again_replays_dead_letters_and_leaves_out_what_waits_anyway(
    shop: Workshop,
) -> None:
    shop.register(expected=3)
    shop.hand_in("a.txt", "b.txt", "c.txt")
    dead_letter(shop)
    shop.process("e002")
    found = news(shop, lambda: reprocess(shop.ledger, BATCH))
    assert found == [anna(Action.REPLAYED), anna(Action.REPROCESSED)]
    journal = all_rows(shop.ledger)["actions"]
    assert [it["slot"] for it in journal[-2:]] == ["e001", "e002"]
    assert news(shop, lambda: reprocess(shop.ledger, BATCH, ["e001", "e003"])) == []


def test_whoever_acts_travels_with_the_ledger_and_shares_its_connections(
    ledger: Ledger, shop: Workshop
) -> None:
    other = ledger.acting(PORTAL, REQUEST)
    assert from_ledger(ledger, lambda tx: tx.actor) == SYSTEM
    assert from_ledger(other, lambda tx: (tx.actor, tx.correlation_id)) == (PORTAL, REQUEST)
    assert from_ledger(shop.ledger, lambda tx: tx.actor) == ANNA
    lifecycle.register(other, BATCH, settings=BatchSettings(), correlation_id="8" * 36)
    lifecycle.close(other, BATCH)
    rows = all_rows(ledger)["actions"]
    assert [it["correlation_id"] for it in rows] == ["8" * 36, REQUEST]
    assert {it["actor_id"] for it in rows} == {PORTAL.actor_id}


def test_counts_are_of_a_time_and_by_who_and_what(ledger: Ledger, clock: ManualClock) -> None:
    def act(actor: Actor, action: Action, amount: int = 1) -> None:
        with ledger.acting(actor).write() as tx:
            tx.actions.record(action, batch_id=BATCH, amount=amount)

    start = clock()
    act(PORTAL, Action.RECEIVED, 30)
    clock.advance(10)
    act(PORTAL, Action.RECEIVED, 3)
    act(ANNA, Action.RECEIVED)
    act(INBOX, Action.UNCHANGED, 5)
    end = clock()
    counts = from_ledger(ledger, lambda tx: tx.actions.counts(start, end + timedelta(seconds=1)))
    assert counts == [
        ActionCount(ANNA, Action.RECEIVED, 1, 1),
        ActionCount(INBOX, Action.UNCHANGED, 1, 5),
        ActionCount(PORTAL, Action.RECEIVED, 2, 33),
    ]
    assert from_ledger(ledger, lambda tx: tx.actions.counts(start, end)) == [
        ActionCount(PORTAL, Action.RECEIVED, 1, 30)
    ]
    assert from_ledger(ledger, lambda tx: tx.actions.counts(end + timedelta(seconds=1), end)) == []


def test_history_names_the_token_and_says_what_was_done(shop: Workshop, ledger: Ledger) -> None:
    with ledger.acting(ANNA).write() as tx:
        token = tx.tokens.create("school portal", [Scope.REGISTER], "hash")
        tx.actions.record(Action.TOKEN_CREATED, token_id=token.token_id)
    portal = ledger.acting(Actor.token(token.token_id), REQUEST)
    lifecycle.register(portal, BATCH, settings=BatchSettings(), expected_essay_count=2)
    with Intake(portal, shop.blobs, 99).submission(BATCH) as submission:
        submission.receive("a.txt", GOOD)
    lifecycle.waive(shop.ledger, BATCH, "e002", "ill")
    named = f"token school portal ({token.token_id})"
    told = [(it.who, it.what) for it in history_of_batch(ledger, BATCH)]
    assert told == [
        (named, "registered the batch"),
        (named, "handed in 1 file"),
        ("operator anna", "waived e002"),
    ]
    everything = history_of_day(ledger, START.date())
    assert [(it.who, it.what) for it in everything] == [("operator anna", f"made {named}"), *told]
    assert history_of_day(ledger, START.date() + timedelta(days=1)) == []


@pytest.mark.parametrize("action", list(Action))
def test_every_deed_can_be_told_in_words(ledger: Ledger, action: Action) -> None:
    with ledger.write() as tx:
        tx.actions.record(action)
    (deed,) = history_of_day(ledger, START.date())
    assert deed.who == "system (pipeline)"
    assert deed.what
    assert "{" not in deed.what
