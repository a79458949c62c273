"""From the outbox to a relay: in order, at least once, with retries and dead letters."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from huleedu_dagster.domain.actions import Action, Actor
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.ledger.records import RelayDeadLetter
from huleedu_dagster.ledger.relays import UnknownRelayDeadLetterError
from huleedu_dagster.relay.json_lines import JsonLinesRelay
from huleedu_dagster.relay.port import DeliveryError, Relay
from huleedu_dagster.relay.relaying import (
    Carried,
    EventGoneError,
    OtherRelayError,
    Relaying,
    RetryPolicy,
    replay,
)
from huleedu_dagster.relay.standing import standings
from tests.support.ledger import deeds, from_ledger
from tests.support.lines import captured
from tests.unit.relay.events import MemoryRelay, NotedStop, envelopes, record, take_away, uploads


def busy(times: int = 1, retry_after: float | None = None) -> list[DeliveryError]:
    """A receiver that is busy so many times."""
    return [DeliveryError("status 503", retryable=True, retry_after=retry_after)] * times


def carry(
    ledger: Ledger, relay: Relay, *, stop: NotedStop | None = None, attempts: int = 12
) -> Carried:
    """Deliver what is there."""
    return Relaying(
        ledger,
        relay,
        stop=stop or NotedStop(),
        policy=RetryPolicy(attempts=attempts),
        chance=random.Random(5),
    ).run(once=True)


def letters(ledger: Ledger) -> list[RelayDeadLetter]:
    return list(from_ledger(ledger, lambda tx: tx.relays.open_letters()))


@pytest.mark.parametrize("batch_size", [1, 2, 500])
def test_every_event_is_delivered_once_and_in_order(ledger: Ledger, batch_size: int) -> None:
    relay = MemoryRelay(batch_size=batch_size)
    record(ledger, "one", "two", "three")
    assert carry(ledger, relay) == Carried(delivered=3)
    record(ledger, "four", "two")
    assert carry(ledger, relay) == Carried(delivered=1)
    assert relay.got == envelopes(ledger)
    assert uploads(relay.got) == ["one", "two", "three", "four"]


def test_a_busy_receiver_is_tried_again_with_growing_pauses(ledger: Ledger) -> None:
    record(ledger, "one", "two")
    stop = NotedStop()
    relay = MemoryRelay(*busy(5))
    assert carry(ledger, relay, stop=stop) == Carried(delivered=2)
    assert uploads(relay.got) == ["one", "two"]
    assert len(stop.pauses) == 5
    for failures, pause in enumerate(stop.pauses):
        assert 0.5 * 2**failures <= pause <= 2**failures


def test_the_pause_is_the_receivers_wish_but_never_endless() -> None:
    policy = RetryPolicy(first_pause=1, longest_pause=900)
    chance = random.Random(5)
    assert policy.pause(1, 40, chance) == 40
    assert policy.pause(1, 10**9, chance) == 900
    assert policy.pause(10**6, None, chance) <= 900
    assert 0.5 <= policy.pause(1, 0, chance) <= 1


@pytest.mark.parametrize("batch_size", [1, 2, 500])
def test_a_refused_event_is_a_dead_letter_and_the_others_go_on(
    ledger: Ledger, batch_size: int
) -> None:
    record(ledger, "one", "bad", "three", "four")
    relay = MemoryRelay(refused=frozenset({"bad"}), batch_size=batch_size)
    stop = NotedStop()

    assert carry(ledger, relay, stop=stop) == Carried(delivered=3, dead=1)

    assert uploads(relay.got) == ["one", "three", "four"]
    (letter,) = letters(ledger)
    bad = envelopes(ledger)[1]
    assert (letter.relay, letter.seq, letter.event_id) == ("memory", 2, bad["event_id"])
    assert (letter.reason, letter.attempts) == ("status 400", 1)
    assert stop.pauses == []
    assert carry(ledger, relay) == Carried()


def test_an_event_that_fails_too_often_is_a_dead_letter(ledger: Ledger) -> None:
    record(ledger, "one", "two")
    relay = MemoryRelay(*busy(3))
    assert carry(ledger, relay, attempts=3) == Carried(delivered=1, dead=1)
    assert uploads(relay.got) == ["two"]
    assert [(it.seq, it.attempts, it.reason) for it in letters(ledger)] == [(1, 3, "status 503")]


def test_the_last_attempt_may_succeed(ledger: Ledger) -> None:
    record(ledger, "one")
    assert carry(ledger, MemoryRelay(*busy(2)), attempts=3) == Carried(delivered=1)


def test_a_wish_to_stop_ends_the_waiting_and_nothing_is_lost(ledger: Ledger) -> None:
    record(ledger, "one", "two")
    stop = NotedStop(when=lambda: True)
    assert carry(ledger, MemoryRelay(*busy()), stop=stop) == Carried()
    relay = MemoryRelay()
    assert carry(ledger, relay) == Carried(delivered=2)
    assert uploads(relay.got) == ["one", "two"]


def test_without_once_new_events_are_delivered_until_somebody_stops_it(ledger: Ledger) -> None:
    record(ledger, "one")
    relay = MemoryRelay()

    def later() -> bool:
        record(ledger, f"later-{len(relay.got)}")
        return len(relay.got) == 3

    done = Relaying(ledger, relay, stop=NotedStop(when=later)).run()

    assert done == Carried(delivered=3)
    assert uploads(relay.got) == ["one", "later-1", "later-2"]


def test_a_replayed_dead_letter_is_delivered_and_resolved(ledger: Ledger) -> None:
    record(ledger, "bad")
    relay = MemoryRelay(refused=frozenset({"bad"}))
    carry(ledger, relay)
    (letter,) = letters(ledger)

    with pytest.raises(DeliveryError):
        replay(ledger, relay, letter.letter_id)
    assert letters(ledger) == [letter]
    assert deeds(ledger) == []

    relay.refused = frozenset()
    for _ in range(2):
        replay(ledger.acting(Actor.operator("anna")), relay, letter.letter_id)
    assert relay.got == envelopes(ledger) * 2
    assert letters(ledger) == []
    assert deeds(ledger) == [("operator:anna", Action.RESENT, 1)]


def test_a_dead_letter_is_not_replayed_to_another_relay_or_with_another_event(
    ledger: Ledger, tmp_path: Path
) -> None:
    record(ledger, "bad", "next")
    relay = MemoryRelay(refused=frozenset({"bad"}))
    carry(ledger, relay)
    (letter,) = letters(ledger)
    other = JsonLinesRelay(tmp_path / "other.jsonl")
    with pytest.raises(OtherRelayError):
        replay(ledger, other, letter.letter_id)
    assert not other.path.exists()
    with pytest.raises(UnknownRelayDeadLetterError):
        replay(ledger, relay, letter.letter_id + 1)
    take_away(ledger, letter.seq)
    with pytest.raises(EventGoneError):
        replay(ledger, relay, letter.letter_id)


def test_the_standing_of_a_relay_counts_what_is_behind_it(ledger: Ledger, tmp_path: Path) -> None:
    record(ledger, "one", "bad")
    carry(ledger, MemoryRelay(refused=frozenset({"bad"})))
    record(ledger, "three")
    carry(ledger, JsonLinesRelay(tmp_path / "events.jsonl"))
    found = [(it.relay.split(":")[0], it.position, it.behind) for it in standings(ledger)]
    assert found == [("file", 3, 0), ("memory", 2, 1)]
    assert [len(it.dead_letters) for it in standings(ledger)] == [0, 1]


DIES_AFTER_THE_DELIVERY = """
import os, signal, sys, threading
from pathlib import Path
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.relay.json_lines import JsonLinesRelay
from huleedu_dagster.relay.relaying import Relaying

class Dying(JsonLinesRelay):
    def deliver(self, envelopes):
        super().deliver(envelopes)
        os.kill(os.getpid(), signal.SIGKILL)

Relaying(Ledger(sys.argv[1]), Dying(Path(sys.argv[2])), stop=threading.Event()).run(once=True)
"""


def test_a_crash_between_delivery_and_note_delivers_the_same_event_again(
    ledger: Ledger, tmp_path: Path
) -> None:
    record(ledger, "one", "two")
    path = tmp_path / "events.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", DIES_AFTER_THE_DELIVERY, ledger.url, str(path)],
        timeout=60,
        check=False,
    )
    assert done.returncode == -9
    assert standings(ledger) == []

    record(ledger, "three")
    carry(ledger, JsonLinesRelay(path))

    got = [json.loads(line) for line in path.read_text().splitlines()]
    assert uploads(got) == ["one", "two", "one", "two", "three"]
    assert len({it["event_id"] for it in got}) == 3


def test_logs_name_events_and_reasons_and_nothing_of_the_data(
    ledger: Ledger,
) -> None:
    record(ledger, "bad")
    with captured() as lines:
        carry(ledger, MemoryRelay(*busy(), refused=frozenset({"bad"})))
        record(ledger, "good")
        carry(ledger, MemoryRelay())
    told = lines(phase="relay")
    assert [it["status"] for it in told] == ["failed", "dead_lettered", "delivered"]
    bad, good = envelopes(ledger)
    for line, event in zip(told, (bad, bad, good), strict=True):
        assert (line["event_id"], line["corr_id"]) == (event["event_id"], event["correlation_id"])
        assert line["batch_id"] == event["data"]["batch_id"]
    assert "raw_upload_blob" not in lines.text
