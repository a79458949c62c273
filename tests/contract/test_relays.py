"""What every ledger promises about relays: how far they have come, and what they gave up on."""

import pytest

from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.ledger.relays import UnknownRelayDeadLetterError
from tests.support.fakes import START, ManualClock
from tests.support.ledger import all_rows


def test_a_relay_begins_at_nothing_and_never_goes_back(ledger: Ledger, clock: ManualClock) -> None:
    with ledger.write() as tx:
        assert tx.relays.position("webhook") == 0
        assert tx.relays.advance("webhook", 5)
        assert tx.relays.advance("lines", 2)
    clock.advance(1)
    with ledger.write() as tx:
        assert not tx.relays.advance("webhook", 5)
        assert not tx.relays.advance("webhook", 4)
        assert tx.relays.advance("webhook", 9)
    with ledger.read() as tx:
        assert (tx.relays.position("webhook"), tx.relays.position("lines")) == (9, 2)
    rows = {row["relay"]: row["updated_at"] for row in all_rows(ledger)["relay_positions"]}
    assert rows == {"lines": START, "webhook": clock.now}


def test_an_event_that_a_relay_gives_up_on_waits_until_it_is_resolved(ledger: Ledger) -> None:
    def give_up(tx: Transaction, relay: str, seq: int) -> bool:
        return tx.relays.add_dead_letter(
            relay, seq, event_id=f"event {seq}", reason="x" * 300, attempts=8
        )

    with ledger.write() as tx:
        assert give_up(tx, "webhook", 7)
        assert give_up(tx, "webhook", 3)
        assert give_up(tx, "lines", 7)
        assert not give_up(tx, "webhook", 7)
    with ledger.read() as tx:
        assert [(it.relay, it.seq) for it in tx.relays.open_letters()] == [
            ("lines", 7),
            ("webhook", 3),
            ("webhook", 7),
        ]
        first, second = tx.relays.open_letters("webhook")
    assert (first.event_id, first.reason, first.attempts) == ("event 3", "x" * 120, 8)
    assert (first.created_at, first.resolved_at) == (START, None)
    with ledger.write() as tx:
        assert tx.relays.resolve(first.letter_id)
        assert not tx.relays.resolve(first.letter_id)
        assert tx.relays.open_letters("webhook") == [second]
        assert tx.relays.dead_letter(first.letter_id).resolved_at == START
        with pytest.raises(UnknownRelayDeadLetterError):
            tx.relays.resolve(999)
