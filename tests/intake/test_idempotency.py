"""Idempotency-Key: a request sent again is answered alike and done once."""

import time
from dataclasses import replace
from pathlib import Path

import httpx

from huleedu_dagster.domain.access import hash_token
from huleedu_dagster.domain.keys import hash_of, sha256_hex
from tests.intake.forms import GOOD, hand_in, register, statuses
from tests.intake.served import LIMITS, Served, serving
from tests.support.ledger import events, facts

KEY = {"Idempotency-Key": "drop-1"}
REGISTER = "/v1/batches/register"


def same(first: httpx.Response, again: httpx.Response) -> None:
    """Check that an answer repeats another."""
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers.get("location") == first.headers.get("location")
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"


def test_a_registration_sent_again_is_the_same_batch(served: Served) -> None:
    client = served.teacher()
    first = client.post(REGISTER, json={"course": "English"}, headers=KEY)
    assert first.status_code == 201
    rows = facts(served.shop.ledger)
    same(first, client.post(REGISTER, json={"course": "English"}, headers=KEY))
    assert facts(served.shop.ledger) == rows
    assert len(client.get("/v1/batches").json()) == 1


def test_another_request_under_the_key_is_refused_and_changes_nothing(served: Served) -> None:
    client = served.teacher()
    register(client)
    client.post(REGISTER, json={"batch_id": "class-b"}, headers=KEY)
    for answer in (
        client.post(REGISTER, json={"batch_id": "class-c"}, headers=KEY),
        hand_in(client, {"a.txt": GOOD}, KEY),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert served.shop.blob_hashes() == {}
    assert len(client.get("/v1/batches").json()) == 2


def test_the_key_of_another_token_is_another_key(served: Served) -> None:
    for name in ("one", "other"):
        answer = served.teacher(name).post(REGISTER, json={"course": name}, headers=KEY)
        assert answer.status_code == 201


def test_a_mistake_is_answered_alike_too(served: Served) -> None:
    client = served.teacher()
    register(client)
    first = client.post(REGISTER, json={"batch_id": "class-a"}, headers=KEY)
    assert first.status_code == 409
    same(first, client.post(REGISTER, json={"batch_id": "class-a"}, headers=KEY))


def test_files_sent_again_are_answered_alike_whatever_the_boundary(
    served: Served, tmp_path: Path
) -> None:
    client = served.teacher()
    register(client, expected=1)
    files = {"a.txt": GOOD, "b.txt": GOOD, "../c.txt": GOOD}
    first = hand_in(client, files, KEY)
    assert first.status_code == 207
    assert statuses(first) == ["new_essay", "excess", "refused"]
    rows = facts(served.shop.ledger)
    same(first, hand_in(client, files, KEY))
    assert facts(served.shop.ledger) == rows
    assert len(events(served.shop.ledger, "upload.finished")) == 1
    for other in ({"a.txt": GOOD}, {**files, "b.txt": GOOD + b"!"}, {**files, "d.txt": b""}):
        answer = hand_in(client, other, KEY)
        assert (answer.status_code, answer.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert facts(served.shop.ledger) == rows
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_request_under_way_is_not_done_twice(served: Served) -> None:
    token = served.token("twice")
    client = served.client(token)
    register(client)
    with served.shop.ledger.write() as tx:
        owner = tx.tokens.find_by_hash(hash_token(token))
        assert owner is not None
        tx.idempotency.begin(
            owner.token_id,
            KEY["Idempotency-Key"],
            route="POST /v1/files/batch",
            request_hash=hash_of(["class-a", [["a.txt", sha256_hex(GOOD), False]]]),
            abandoned_after=60,
        )
    answer = hand_in(client, {"a.txt": GOOD}, KEY)
    assert (answer.status_code, answer.json()["code"]) == (409, "REQUEST_IN_PROGRESS")
    assert answer.headers["retry-after"]
    assert served.shop.blob_hashes() == {}


def test_an_outage_is_not_stored_and_the_key_is_free_again(served: Served) -> None:
    client = served.teacher()
    register(client, expected=2)
    served.shop.blobs.fail("put", "raw_upload_blob", 1)
    assert hand_in(client, {"a.txt": GOOD}, KEY).status_code == 503
    answer = hand_in(client, {"a.txt": GOOD}, KEY)
    assert (answer.status_code, statuses(answer)) == (201, ["new_essay"])


def test_a_key_that_is_none_is_refused(served: Served) -> None:
    client = served.teacher()
    for key in ("", "x" * 256, "a\tb"):
        answer = client.post(REGISTER, json={}, headers={"Idempotency-Key": key})
        assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_REQUEST")


def test_a_batch_is_registered_only_together_with_its_answer(served: Served) -> None:
    """Sent again after an answer that could not be stored, the request is not done twice."""
    client, ledger = served.teacher(), served.shop.ledger
    with ledger.write() as tx:
        tx.connection.exec_driver_sql(
            "CREATE TRIGGER full BEFORE UPDATE ON idempotency_keys WHEN NEW.body IS NOT NULL "
            "BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    assert client.post(REGISTER, json={"course": "English"}, headers=KEY).status_code >= 500
    assert client.get("/v1/batches").json() == []
    with ledger.write() as tx:
        tx.connection.exec_driver_sql("DROP TRIGGER full")
    answer = client.post(REGISTER, json={"course": "English"}, headers=KEY)
    assert answer.status_code == 201
    assert "idempotency-replayed" not in answer.headers
    assert len(client.get("/v1/batches").json()) == 1


def test_files_that_fill_the_queue_are_answered_alike_when_they_are_sent_again(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, replace(LIMITS, max_pending=1)) as served:
        client = served.teacher()
        register(client)
        first = hand_in(client, {"a.txt": GOOD}, KEY)
        # The count is at most a second old.
        time.sleep(1.05)
        same(first, hand_in(client, {"a.txt": GOOD}, KEY))
        other = hand_in(client, {"b.txt": GOOD}, {"Idempotency-Key": "drop-2"})
        assert (other.status_code, other.json()["code"]) == (429, "TOO_MUCH_PENDING")
        assert len(served.shop.blob_hashes()) == 1
