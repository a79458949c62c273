"""The journal at the doors of the intake: each deed is of the token that did it, and told once."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from huleedu_dagster.domain.actions import Action
from huleedu_dagster.ledger.metrics import Duplicate
from huleedu_dagster.settings import Settings
from tests.dagster.test_acceptance import essays
from tests.intake.browsers import HTML, browser, secret_of
from tests.intake.flow import Flow, flowing
from tests.intake.forms import GOOD, hand_in, register, statuses
from tests.intake.served import EVERY_SCOPE, Served, serving
from tests.support.ledger import all_rows, deeds, facts, suppressed
from tests.support.world import World

KEY = {"Idempotency-Key": "one"}
REQUEST = "77777777-0000-4000-8000-000000000000"
BATCH = "/v1/batches/class-a"


def token_id(served: Served, name: str) -> str:
    """The id of a token."""
    with served.shop.ledger.read() as tx:
        (found,) = [it.token_id for it in tx.tokens.all() if it.name == name]
    return found


def done(served: Served) -> list[tuple[str, str, int]]:
    """Whose token did what, to how many; the system's deeds left out."""
    with served.shop.ledger.read() as tx:
        names = {it.token_id: it.name for it in tx.tokens.all()}
    found = [(actor.partition(":"), action, amount) for actor, action, amount in deeds_of(served)]
    return [
        (names[actor[2]], action, amount) for actor, action, amount in found if actor[0] == "token"
    ]


def deeds_of(served: Served) -> list[tuple[str, str, int]]:
    return deeds(served.shop.ledger)


def test_what_is_asked_of_the_api_is_of_the_token_that_asks(served: Served) -> None:
    teacher, operator = served.teacher("anna"), served.operator()
    register(teacher, expected=4)
    assert statuses(hand_in(teacher, {"a.txt": GOOD, "b.txt": GOOD, "c.txt": GOOD}))
    served.shop.process("e001")
    served.shop.fail_until_dead("e002")
    for client, path, body in (
        (teacher, "close", None),
        (operator, "essays/e004/waive", {"reason": "ill"}),
        (operator, "reopen", None),
        (teacher, "essays/e001/reprocess", None),
        (teacher, "essays/e002/reprocess", None),
    ):
        answer = client.post(f"{BATCH}/{path}", json=body)
        assert answer.status_code in (200, 202), answer.text
    served.shop.fail_until_dead("e003")
    with served.shop.ledger.read() as tx:
        (letter,) = tx.failures.open_letters()
    assert operator.post(f"/v1/dead-letters/{letter.dead_letter_id}/replay").status_code == 200
    assert done(served) == [
        ("anna", Action.REGISTERED, 1),
        ("anna", Action.RECEIVED, 3),
        ("anna", Action.CLOSED, 1),
        ("operator", Action.WAIVED, 1),
        ("operator", Action.REOPENED, 1),
        ("anna", Action.REPROCESSED, 1),
        ("anna", Action.REPLAYED, 1),
        ("operator", Action.REPLAYED, 1),
    ]


def test_what_is_done_on_the_pages_is_of_the_token_that_signed_in(served: Served) -> None:
    client = browser(served, served.token("principal", *EVERY_SCOPE))
    client.headers.update(secret_of(served, client))
    register(client, expected=2)
    hand_in(client, {"a.txt": GOOD})
    served.shop.process()
    for path, form in (
        ("close", {}),
        ("essays/e002/waive", {"reason": "ill"}),
        ("essays/e001/reprocess", {}),
        ("reopen", {}),
    ):
        answer = client.post(f"/batches/class-a/{path}", data=form, headers=HTML)
        assert answer.status_code == 303, answer.text
    served.shop.receive("a.txt", b"")
    served.shop.fail_until_dead()
    answer = client.post("/batches/class-a/dead-letters/1/replay", headers=HTML)
    assert answer.status_code == 303, answer.text
    assert done(served) == [
        ("principal", action, 1)
        for action in (
            Action.REGISTERED,
            Action.RECEIVED,
            Action.CLOSED,
            Action.WAIVED,
            Action.REPROCESSED,
            Action.REOPENED,
            Action.REPLAYED,
        )
    ]


def test_whoever_opens_the_pages_of_their_own_computer_acts_with_its_first_token(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, embedded=True) as served:
        client = served.client()
        client.get("/", headers=HTML)
        register_at = client.post(
            "/v1/batches/register", json={}, headers=secret_of(served, client)
        )
        assert register_at.status_code == 201
        first = token_id(served, "this-computer")
        assert deeds_of(served) == [
            ("system:intake", Action.TOKEN_CREATED, 1),
            (f"token:{first}", Action.REGISTERED, 1),
        ]
        assert all_rows(served.shop.ledger)["actions"][0]["token_id"] == first


def test_a_request_that_is_sent_again_under_its_key_is_one_deed(served: Served) -> None:
    client = served.teacher()
    body = {"batch_id": "class-a", "expected_essay_count": 3}
    before = facts(served.shop.ledger)["actions"]
    for _ in range(3):
        answer = client.post("/v1/batches/register", json=body, headers=KEY)
        assert answer.status_code == 201
    files = {"a.txt": GOOD, "b.txt": GOOD}
    for _ in range(3):
        assert hand_in(client, files, {"Idempotency-Key": "two"}).status_code == 201
    found = [it["action"] for it in all_rows(served.shop.ledger)["actions"][len(before) :]]
    assert found == [Action.REGISTERED, Action.RECEIVED]
    assert suppressed(served.shop.ledger, Duplicate.REQUEST) == 4
    assert suppressed(served.shop.ledger, Duplicate.FILE) == 0


def test_files_sent_again_without_a_key_are_told_and_change_nothing_else(served: Served) -> None:
    client = served.teacher("anna")
    register(client, expected=3)
    hand_in(client, {"a.txt": GOOD, "b.txt": GOOD})
    client.get(BATCH)
    before = facts(served.shop.ledger)
    answer = hand_in(client, {"a.txt": GOOD, "b.txt": GOOD}, {"X-Correlation-ID": REQUEST})
    assert statuses(answer) == ["unchanged"] * 2
    assert facts(served.shop.ledger) == before
    assert done(served)[-1] == ("anna", Action.UNCHANGED, 2)
    assert all_rows(served.shop.ledger)["actions"][-1]["correlation_id"] == REQUEST
    assert suppressed(served.shop.ledger) == 2


def test_what_is_refused_is_no_deed(served: Served) -> None:
    teacher, other = served.teacher("anna"), served.teacher("bo")
    register(teacher, expected=2)
    before = deeds_of(served)
    answers: list[httpx.Response] = [
        teacher.post("/v1/batches/register", json={"batch_id": "class-a"}),
        other.post(f"{BATCH}/close"),
        hand_in(other, {"a.txt": GOOD}),
        hand_in(teacher, {}),
        teacher.post(f"{BATCH}/essays/e002/waive", json={"reason": "ill"}),
        teacher.post(f"{BATCH}/essays/e001/reprocess"),
        served.client().post(f"{BATCH}/close"),
    ]
    assert [it.is_success for it in answers] == [False] * len(answers)
    assert hand_in(teacher, {"../x.txt": GOOD}).status_code == 207
    assert deeds_of(served) == before


def test_a_deed_carries_the_correlation_id_of_its_request(served: Served) -> None:
    client = served.operator()
    register(client, expected=2)
    client.post(f"{BATCH}/close", headers={"X-Correlation-ID": REQUEST})
    answer = client.post(f"{BATCH}/essays/e001/waive", json={"reason": "ill"})
    found = [it["correlation_id"] for it in all_rows(served.shop.ledger)["actions"][-2:]]
    assert found == [REQUEST, answer.headers["X-Correlation-ID"]]


@pytest.fixture
def flow(world: World) -> Iterator[Flow]:
    """A world behind its intake."""
    with flowing(world) as found:
        yield found


def test_dagster_and_logs_never_hear_who_acts(flow: Flow, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with flow.world.ledger.read() as tx:
        secrets = {it.name: it.token_id for it in tx.tokens.all()}
    batch_id = flow.drop(essays(2), expected=3).batch_id
    assert flow.operator.post(f"/v1/batches/{batch_id}/close").status_code == 200
    answer = flow.operator.post(f"/v1/batches/{batch_id}/essays/e003/waive", json={"reason": "ill"})
    assert answer.status_code == 200
    flow.world.settle()
    assert flow.batch(batch_id)["status"] == "ready"
    told = deeds(flow.world.ledger, batch_id)
    assert {f"token:{it}" for it in secrets.values()} <= {actor for actor, _, _ in told}
    assert told[-1] == ("system:pipeline", Action.RELEASED, 1)
    home = Settings().home
    kept = [it for it in home.rglob("*") if it.is_file() and not it.name.startswith("ledger.db")]
    assert any(it.suffix == ".db" for it in kept)
    for secret in secrets.values():
        assert [it for it in kept if secret.encode() in it.read_bytes()] == []
        assert secret not in caplog.text
