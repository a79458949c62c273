"""What every ledger promises about tokens, idempotency keys and owners of batches."""

from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa

from huleedu_dagster.domain.access import (
    InvalidTokenNameError,
    NoScopeError,
    Principal,
    Scope,
    hash_token,
    new_token,
)
from huleedu_dagster.domain.registration import Registration
from huleedu_dagster.ledger.idempotency import (
    Begun,
    InFlight,
    InvalidIdempotencyKeyError,
    Mismatch,
    New,
    Replay,
)
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.ledger.tokens import TokenNameTakenError, UnknownTokenError
from tests.support.at_once import at_once
from tests.support.fakes import START, ManualClock
from tests.support.ledger import all_rows, from_ledger, row_counts

LIMIT = 60.0
REGISTER = "POST /v1/batches/register"


def token_id(ledger: Ledger, name: str = "school") -> str:
    with ledger.write() as tx:
        return tx.tokens.create(name, [Scope.UPLOAD], hash_token(new_token())).token_id


@pytest.fixture
def owner(ledger: Ledger) -> str:
    return token_id(ledger)


def begin(
    ledger: Ledger, owner: str, *, key: str = "k", route: str = REGISTER, request_hash: str = "h"
) -> Begun:
    with ledger.write() as tx:
        return tx.idempotency.begin(
            owner, key, route=route, request_hash=request_hash, abandoned_after=LIMIT
        )


def claim_of(begun: Begun) -> str:
    assert isinstance(begun, New)
    return begun.claim


def finish(ledger: Ledger, owner: str, claim: str, *, status: int = 201, key: str = "k") -> bool:
    with ledger.write() as tx:
        return tx.idempotency.finish(
            owner, key, claim, status=status, headers={"location": "/x"}, body=b'{"a":"\xc3\xa5"}'
        )


ANSWER = Replay(201, {"location": "/x"}, b'{"a":"\xc3\xa5"}')


def test_a_token_is_found_by_its_hash_and_stored_nowhere(ledger: Ledger) -> None:
    secret = new_token()
    with ledger.write() as tx:
        made = tx.tokens.create(
            "  school ", [Scope.READ, Scope.READ, Scope.UPLOAD], hash_token(secret)
        )
    scopes = frozenset({Scope.READ, Scope.UPLOAD})
    assert from_ledger(ledger, lambda tx: tx.tokens.find_by_hash(hash_token(secret))) == made
    assert made.principal == Principal(made.token_id, "school", scopes)
    assert (made.created_at, made.last_used_at, made.revoked_at) == (START, None, None)
    assert from_ledger(ledger, lambda tx: tx.tokens.find_by_hash(hash_token(new_token()))) is None
    assert secret not in str(all_rows(ledger))
    assert made.token_hash not in repr(made)


def test_a_revoked_token_is_not_found_and_gives_its_name_back(ledger: Ledger) -> None:
    secret = new_token()
    with ledger.write() as tx:
        first = tx.tokens.create("school", [Scope.READ], hash_token(secret))
    with pytest.raises(TokenNameTakenError, match="school"):
        token_id(ledger, "school ")
    with ledger.write() as tx:
        assert tx.tokens.revoke(first.token_id)
        assert not tx.tokens.revoke(first.token_id)
    assert from_ledger(ledger, lambda tx: tx.tokens.find_by_hash(hash_token(secret))) is None
    second = token_id(ledger, "school")
    tokens = from_ledger(ledger, lambda tx: tx.tokens.all())
    assert {it.token_id: it.revoked_at for it in tokens} == {first.token_id: START, second: None}


@pytest.mark.parametrize(
    ("name", "scopes", "error"),
    [(" ", [Scope.READ], InvalidTokenNameError), ("school", [], NoScopeError)],
)
def test_a_token_without_a_name_or_a_scope_is_not_made(
    ledger: Ledger, name: str, scopes: list[Scope], error: type[Exception]
) -> None:
    with pytest.raises(error), ledger.write() as tx:
        tx.tokens.create(name, scopes, hash_token(new_token()))
    assert row_counts(ledger)["api_tokens"] == 0


def test_a_token_that_nobody_made_cannot_be_revoked(ledger: Ledger) -> None:
    with pytest.raises(UnknownTokenError), ledger.write() as tx:
        tx.tokens.revoke("0" * 16)


def test_the_use_of_a_token_is_noted_at_most_once_a_minute(
    ledger: Ledger, owner: str, clock: ManualClock
) -> None:
    other = token_id(ledger, "another")

    def touch(tx: Transaction) -> bool:
        due = tx.tokens.touch_due(tx.tokens.get(owner))
        assert tx.tokens.touch_used(owner) == due
        return due

    written = []
    for seconds in (0, 59, 1, 1, 120):
        clock.advance(seconds)
        with ledger.write() as tx:
            written.append(touch(tx))
    assert written == [True, False, True, False, True]
    used = {it.token_id: it.last_used_at for it in from_ledger(ledger, lambda tx: tx.tokens.all())}
    assert used == {owner: START + timedelta(seconds=181), other: None}


def test_a_batch_belongs_to_the_token_that_registered_it(ledger: Ledger, owner: str) -> None:
    other = token_id(ledger, "another")
    with ledger.write() as tx:
        for number, (batch_id, who) in enumerate(
            {"a": owner, "b": None, "c": other, "d": owner}.items()
        ):
            at = START + timedelta(seconds=number)
            registration = Registration(
                batch_id=batch_id, registered_at=at, correlation_id="0" * 36
            )
            assert tx.batches.register(registration, who)
        again = Registration(batch_id="a", registered_at=START, correlation_id="0" * 36)
        assert not tx.batches.register(again, other)
    with ledger.read() as tx:
        assert {it.batch_id: it.owner for it in tx.batches.all()} == {
            "a": owner,
            "b": None,
            "c": other,
            "d": owner,
        }
        assert [it.batch_id for it in tx.batches.page(owner=owner)] == ["d", "a"]
        assert [it.batch_id for it in tx.batches.page(owner=other)] == ["c"]
        assert tx.batches.page(owner="nobody") == []


def test_the_first_answer_is_replayed_as_it_was(
    ledger: Ledger, owner: str, clock: ManualClock
) -> None:
    claim = claim_of(begin(ledger, owner))
    assert begin(ledger, owner) == InFlight(START)
    assert finish(ledger, owner, claim)
    clock.advance(LIMIT * 1000)
    assert begin(ledger, owner) == ANSWER
    assert begin(ledger, owner) == ANSWER
    assert row_counts(ledger)["idempotency_keys"] == 1


@pytest.mark.parametrize("other", [{"request_hash": "other"}, {"route": "POST /v1/files/batch"}])
def test_another_request_under_the_same_key_is_a_mismatch_at_any_time(
    ledger: Ledger, owner: str, other: dict[str, str]
) -> None:
    claim = claim_of(begin(ledger, owner))
    assert begin(ledger, owner, **other) == Mismatch()
    finish(ledger, owner, claim)
    assert begin(ledger, owner, **other) == Mismatch()
    assert begin(ledger, owner) == ANSWER


def test_keys_of_two_owners_and_two_keys_of_one_have_nothing_to_do_with_each_other(
    ledger: Ledger, owner: str
) -> None:
    other = token_id(ledger, "another")
    finish(ledger, owner, claim_of(begin(ledger, owner)))
    assert isinstance(begin(ledger, other, request_hash="other"), New)
    assert isinstance(begin(ledger, owner, key="k2", request_hash="other"), New)
    assert begin(ledger, owner) == ANSWER


def test_an_abandoned_key_is_new_for_any_request(ledger: Ledger, owner: str) -> None:
    claim = claim_of(begin(ledger, owner))
    with ledger.write() as tx:
        assert tx.idempotency.abandon(owner, "k", claim)
        assert not tx.idempotency.abandon(owner, "k", claim)
    assert row_counts(ledger)["idempotency_keys"] == 0
    assert isinstance(begin(ledger, owner, request_hash="other"), New)


def test_a_request_that_a_crash_left_behind_counts_as_abandoned_after_the_limit(
    ledger: Ledger, owner: str, clock: ManualClock
) -> None:
    first = claim_of(begin(ledger, owner))
    clock.advance(LIMIT)
    assert begin(ledger, owner) == InFlight(START)
    clock.advance(1)
    second = claim_of(begin(ledger, owner, request_hash="other"))
    assert begin(ledger, owner, request_hash="other") == InFlight(clock.now)
    # The first was slow, not dead: its answer must not stand for the second's request.
    assert not finish(ledger, owner, first, status=500)
    with ledger.write() as tx:
        assert not tx.idempotency.abandon(owner, "k", first)
    assert finish(ledger, owner, second)
    assert begin(ledger, owner, request_hash="other") == ANSWER


def test_an_answer_is_stored_once(ledger: Ledger, owner: str) -> None:
    claim = claim_of(begin(ledger, owner))
    assert finish(ledger, owner, claim)
    assert not finish(ledger, owner, claim, status=500)
    with ledger.write() as tx:
        assert not tx.idempotency.abandon(owner, "k", claim)
    assert begin(ledger, owner) == ANSWER


@pytest.mark.parametrize("status", [429, 503])
def test_an_answer_that_says_try_again_is_never_stored(
    ledger: Ledger, owner: str, status: int
) -> None:
    claim = claim_of(begin(ledger, owner))
    with pytest.raises(ValueError, match="never stored"):
        finish(ledger, owner, claim, status=status)
    assert begin(ledger, owner) == InFlight(START)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "\x00"])
def test_a_key_that_is_no_key_is_refused(ledger: Ledger, owner: str, key: str) -> None:
    with pytest.raises(InvalidIdempotencyKeyError, match="1 to 255"):
        begin(ledger, owner, key=key)
    assert isinstance(begin(ledger, owner, key="x" * 255), New)


def test_a_key_of_a_token_that_does_not_exist_is_refused(ledger: Ledger) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        begin(ledger, "nobody")


def test_a_key_is_not_taken_when_the_transaction_of_its_answer_fails(
    ledger: Ledger, owner: str
) -> None:
    claim = claim_of(begin(ledger, owner))
    work = Registration(batch_id="a", registered_at=START, correlation_id="0" * 36)

    def work_and_die(tx: Transaction) -> None:
        tx.batches.register(work, owner)
        assert tx.idempotency.finish(owner, "k", claim, status=201, headers={}, body=b"")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"), ledger.write() as tx:
        work_and_die(tx)
    assert begin(ledger, owner) == InFlight(START)
    assert row_counts(ledger)["batches"] == 0


def test_old_keys_are_forgotten(ledger: Ledger, owner: str, clock: ManualClock) -> None:
    finish(ledger, owner, claim_of(begin(ledger, owner)))
    clock.advance(100)
    claim_of(begin(ledger, owner, key="young"))
    with ledger.write() as tx:
        assert tx.idempotency.forget(100) == 0
    clock.advance(1)
    with ledger.write() as tx:
        assert tx.idempotency.forget(100) == 1
    assert isinstance(begin(ledger, owner, request_hash="other"), New)
    assert isinstance(begin(ledger, owner, key="young"), InFlight)


def test_of_requests_that_race_for_a_key_exactly_one_is_new(ledger: Ledger, owner: str) -> None:
    for turn in range(10):
        found = at_once(8, partial(begin, ledger, owner, key=str(turn)))
        assert sum(isinstance(it, New) for it in found) == 1
        assert sum(isinstance(it, InFlight) for it in found) == 7


def test_of_requests_that_race_for_an_abandoned_key_exactly_one_is_new(
    ledger: Ledger, owner: str, clock: ManualClock
) -> None:
    for _ in range(10):
        begin(ledger, owner)
        clock.advance(LIMIT + 1)
        found = at_once(8, partial(begin, ledger, owner))
        assert sum(isinstance(it, New) for it in found) == 1
        assert sum(isinstance(it, InFlight) for it in found) == 7


def test_requests_that_take_a_key_and_give_it_back_never_hold_it_together(
    ledger: Ledger, owner: str
) -> None:
    holding: list[str] = []
    together: list[int] = []

    def take_and_give_back() -> Begun:
        begun = begin(ledger, owner)
        if isinstance(begun, New):
            holding.append(begun.claim)
            together.append(len(holding))
            holding.remove(begun.claim)
            with ledger.write() as tx:
                assert tx.idempotency.abandon(owner, "k", begun.claim)
        return begun

    for _ in range(5):
        at_once(8, take_and_give_back)
    assert set(together) == {1}


def test_of_tokens_that_are_made_at_once_one_gets_the_name(ledger: Ledger) -> None:
    def make() -> str | None:
        try:
            return token_id(ledger)
        except TokenNameTakenError:
            return None

    for _ in range(5):
        (made,) = filter(None, at_once(6, make))
        (token,) = [
            it for it in from_ledger(ledger, lambda tx: tx.tokens.all()) if it.revoked_at is None
        ]
        assert token.token_id == made
        with ledger.write() as tx:
            assert tx.tokens.revoke(made)


def test_of_requests_at_once_one_notes_the_use_and_one_revokes(ledger: Ledger, owner: str) -> None:
    def note() -> bool:
        with ledger.write() as tx:
            return bool(tx.tokens.touch_used(owner))

    def revoke() -> bool:
        with ledger.write() as tx:
            return bool(tx.tokens.revoke(owner))

    assert sorted(at_once(6, note)) == [False] * 5 + [True]
    assert sorted(at_once(6, revoke)) == [False] * 5 + [True]
