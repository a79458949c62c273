"""Files over HTTP: kept or refused each by itself, and promised only when they are safe."""

import socket
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import sqlalchemy as sa

from huleedu_dagster.ledger.records import UploadStatus
from huleedu_dagster.ledger.tables import batches
from tests.intake.forms import (
    GOOD,
    KIND,
    URL,
    by_name,
    field,
    file,
    form,
    hand_in,
    register,
    statuses,
)
from tests.intake.served import LIMITS, Served, serving
from tests.support.ledger import events, facts
from tests.support.waiting import wait_for


def paths(served: Served) -> list[str]:
    """Paths of all files that were kept."""
    with served.shop.ledger.read() as tx:
        return [it.path for it in tx.essays.uploads_of("class-a")]


def test_the_drop_handlers_flow_ends_with_three_ready_essays_and_one_rejection(
    served: Served,
) -> None:
    client = served.teacher()
    correlation_id = register(client, expected=4)
    files = {"a.txt": GOOD, "b.txt": GOOD + b" B", "c.txt": GOOD + b" C", "d.txt": b""}
    answer = hand_in(client, files, {"X-Correlation-ID": correlation_id})
    assert answer.status_code == 201
    assert statuses(answer) == ["new_essay"] * 4
    assert [it["essay_id"] for it in answer.json()["files"]] == ["e001", "e002", "e003", "e004"]

    shop = served.shop
    shop.process_pending()
    shop.release()
    (ready,) = events(shop.ledger, "ready")
    assert len(ready["ready_essays"]) == 3
    (failed,) = events(shop.ledger, "failed")
    assert failed["error_code"] == "EMPTY_CONTENT"
    (finished,) = events(shop.ledger, "upload.finished")
    assert finished["expected_count"] == 4
    assert finished["correlation_id"] == correlation_id


def test_without_a_header_the_answer_names_the_id_that_the_files_carry(served: Served) -> None:
    client = served.teacher()
    of_the_batch = register(client)
    answer = hand_in(client, {"a.txt": GOOD})
    assert answer.headers["X-Correlation-ID"] == of_the_batch
    (finished,) = events(served.shop.ledger, "upload.finished")
    assert finished["correlation_id"] == of_the_batch


def test_a_batch_that_the_ledger_cannot_read_is_not_the_clients_mistake(served: Served) -> None:
    client = served.teacher()
    register(client)
    with served.shop.ledger.write() as tx:
        tx.connection.execute(sa.update(batches).values(settings={"language": 5}))
    answer = hand_in(client, {"a.txt": GOOD})
    assert answer.status_code == 500
    assert answer.json()["code"] == "INTERNAL_ERROR"


def test_a_receipt_names_the_bytes_that_are_kept(served: Served) -> None:
    client = served.teacher()
    register(client)
    (receipt,) = hand_in(client, {"Ida/essay.txt": GOOD}).json()["files"]
    with served.shop.ledger.read() as tx:
        (upload,) = tx.essays.uploads_of("class-a")
        batch = tx.batches.get("class-a")
    assert receipt["upload_id"] == upload.upload_id
    assert (receipt["sha256"], receipt["bytes"]) == (upload.sha256, len(GOOD))
    assert served.shop.blobs.get(upload.blob_key, receipt["sha256"]) == GOOD
    assert upload.path == "Ida/essay.txt"
    assert upload.correlation_id == batch.registration.correlation_id


def test_expected_seven_and_nine_come_gives_seven_slots_and_two_excess(served: Served) -> None:
    client = served.teacher()
    register(client, expected=7)
    answer = hand_in(client, {f"{n}.txt": GOOD + bytes([65 + n]) for n in range(9)})
    assert answer.status_code == 201
    assert statuses(answer) == ["new_essay"] * 7 + ["excess"] * 2
    assert len(events(served.shop.ledger, "excess")) == 2
    assert len(served.shop.blob_hashes()) == 9


def test_the_same_files_again_change_nothing_and_other_bytes_are_a_new_version(
    served: Served,
) -> None:
    client = served.teacher()
    register(client, expected=3)
    first = hand_in(client, {"a.txt": GOOD, "b.txt": GOOD})
    rows = facts(served.shop.ledger)
    again = hand_in(client, {"a.txt": GOOD, "b.txt": GOOD})
    assert statuses(again) == ["unchanged"] * 2
    assert [it["upload_id"] for it in again.json()["files"]] == [
        it["upload_id"] for it in first.json()["files"]
    ]
    assert facts(served.shop.ledger) == rows
    other = hand_in(client, {"a.txt": GOOD + b" More."})
    assert [(it["status"], it["essay_id"]) for it in other.json()["files"]] == [
        ("new_version", "e001")
    ]


def test_a_file_after_closing_is_kept_and_late(served: Served) -> None:
    client = served.teacher()
    register(client, expected=3)
    client.post("/v1/batches/class-a/close")
    answer = hand_in(client, {"a.txt": GOOD})
    assert statuses(answer) == ["late"]
    with served.shop.ledger.read() as tx:
        assert len(tx.essays.uploads_of("class-a", UploadStatus.LATE)) == 1


def test_one_bad_file_does_not_lose_the_others(served: Served) -> None:
    client = served.teacher()
    register(client)
    large = b"x" * (LIMITS.max_file_bytes + 1)
    answer = hand_in(
        client,
        {"a.txt": GOOD, "big.txt": large, "../up.txt": GOOD, ".DS_Store": b"x", "z.txt": b"Z"},
    )
    assert answer.status_code == 207
    found = by_name(answer)
    assert [it["status"] for it in found.values()] == [
        "new_essay",
        "refused",
        "refused",
        "ignored",
        "new_essay",
    ]
    assert found["big.txt"]["code"] == "TOO_LARGE"
    assert found["../up.txt"]["code"] == "INVALID_NAME"
    assert all(found[name]["upload_id"] is None for name in ("big.txt", "../up.txt", ".DS_Store"))
    assert len(served.shop.blob_hashes()) == 2


def test_names_that_mean_harm_are_stored_safely_or_refused(served: Served, tmp_path: Path) -> None:
    client = served.teacher()
    register(client)
    before = {it for it in tmp_path.rglob("*") if "raw_upload_blob" not in it.parts}
    bad = [
        b"../../etc/passwd",
        b"/etc/passwd",
        b"a\x00.txt",
        b"\x7f.txt",
        b"x" * 4_000,
        b"a/../../b",
    ]
    kept = ["\u202etxt.exe".encode(), b"<script>.txt", b"a b%20c.txt", "sj\u00f6.txt".encode()]
    parts = [file(name, GOOD) for name in bad + kept]
    body = form(field("batch_id", "class-a"), *parts)
    answer = client.post(URL, content=body, headers=KIND)
    assert answer.status_code == 207, answer.text
    assert statuses(answer) == ["refused"] * len(bad) + ["new_essay"] * len(kept)
    assert sorted(paths(served)) == sorted(it.decode() for it in kept)
    for number in range(1, len(kept) + 1):
        raw = client.get(f"/v1/batches/class-a/essays/e{number:03d}/raw")
        assert raw.content == GOOD
        assert raw.headers["content-disposition"].isascii()
    after = {it for it in tmp_path.rglob("*") if "raw_upload_blob" not in it.parts}
    assert {it.name for it in after - before} <= {"blobs"}


@pytest.mark.parametrize("operation", ["put", "write"])
def test_when_the_store_is_down_nothing_is_promised(served: Served, operation: str) -> None:
    client = served.teacher()
    register(client, expected=2)
    served.shop.blobs.fail(operation, "raw_upload_blob", 1)
    answer = hand_in(client, {"a.txt": GOOD, "b.txt": GOOD})
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
    assert answer.headers["retry-after"] == str(LIMITS.retry_seconds)
    assert served.shop.blob_hashes() == {}
    assert paths(served) == []
    assert statuses(hand_in(client, {"a.txt": GOOD, "b.txt": GOOD})) == ["new_essay"] * 2
    assert len(events(served.shop.ledger, "upload.finished")) == 1


def test_what_is_no_form_with_a_batch_and_files_is_refused(served: Served) -> None:
    client = served.teacher()
    register(client)
    batch, essay = field("batch_id", "class-a"), file(b"a.txt", GOOD)
    nothing_chosen = file(b"", b"")
    bodies = {
        (form(batch), 422, "INVALID_REQUEST"),
        (form(batch, nothing_chosen), 422, "INVALID_REQUEST"),
        (form(essay, batch), 422, "INVALID_REQUEST"),
        (form(batch, batch, essay), 422, "INVALID_REQUEST"),
        (form(field("batch_id", "unknown"), essay), 404, "NOT_FOUND"),
        (form(field("batch_id", "A\x00"), essay), 404, "NOT_FOUND"),
        (b"", 400, "MALFORMED_REQUEST"),
        (b"nonsense", 400, "MALFORMED_REQUEST"),
        (batch + essay[:-20], 400, "MALFORMED_REQUEST"),
    }
    for body, status, code in bodies:
        answer = client.post(URL, content=body, headers=KIND)
        assert (answer.status_code, answer.json()["code"]) == (status, code), body
    for kind in ("", "application/json", "multipart/form-data", 'multipart/form-data; boundary=""'):
        answer = client.post(URL, content=form(batch, essay), headers={"Content-Type": kind})
        assert (answer.status_code, answer.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert served.shop.blob_hashes() == {}


def test_a_file_without_a_name_is_refused_and_an_empty_input_is_none(served: Served) -> None:
    client = served.teacher()
    register(client)
    parts = (field("batch_id", "class-a"), file(b"", b""), file(b"", GOOD), file(b"a.txt", GOOD))
    answer = client.post(URL, content=form(*parts), headers=KIND)
    found = [(it["file_name"], it["status"]) for it in answer.json()["files"]]
    assert found == [("", "refused"), ("a.txt", "new_essay")]


def test_a_foreign_batch_takes_no_file(served: Served) -> None:
    register(served.teacher("owner"))
    answer = hand_in(served.teacher("stranger"), {"a.txt": GOOD})
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    assert served.shop.blob_hashes() == {}


def test_more_files_or_bytes_than_a_request_may_have_are_refused(served: Served) -> None:
    client = served.teacher()
    register(client)
    many = {f"{n}.txt": GOOD for n in range(LIMITS.max_files + 1)}
    for files in (many, {f"{n}.txt": b"x" * 90_000 for n in range(5)}):
        answer = hand_in(client, files)
        assert (answer.status_code, answer.json()["code"]) == (413, "REQUEST_TOO_LARGE")


def test_of_a_request_that_breaks_off_the_files_that_came_whole_are_kept(served: Served) -> None:
    token = served.token("phone")
    client = served.client(token)
    register(client, expected=2)
    whole = form(field("batch_id", "class-a"), file(b"a.txt", GOOD), file(b"b.txt", GOOD * 10))
    url = urlsplit(served.url)
    head = (
        f"POST {URL} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: {KIND['Content-Type']}\r\nContent-Length: {len(whole)}\r\n\r\n"
    )
    with socket.create_connection((str(url.hostname), int(url.port or 0))) as phone:
        phone.sendall(head.encode() + whole[:-300])
        wait_for(lambda: len(paths(served)) == 1, 60)
        assert events(served.shop.ledger, "upload.finished") == []
    wait_for(lambda: len(events(served.shop.ledger, "upload.finished")) == 1, 60)
    assert paths(served) == ["a.txt"]
    again = client.post(URL, content=whole, headers=KIND)
    assert statuses(again) == ["unchanged", "new_essay"]


def test_when_too_much_is_pending_no_file_is_taken(tmp_path: Path) -> None:
    with serving(tmp_path, replace(LIMITS, max_pending=1)) as served:
        client = served.teacher()
        register(client)
        assert hand_in(client, {"a.txt": GOOD}).status_code == 201
        # The count is at most a second old.
        time.sleep(1.05)
        answer = hand_in(client, {"b.txt": GOOD})
        assert (answer.status_code, answer.json()["code"]) == (429, "TOO_MUCH_PENDING")
        assert len(served.shop.blob_hashes()) == 1


def test_two_clients_at_once_fill_seven_slots_and_no_more(served: Served) -> None:
    client = served.teacher()
    register(client, expected=7)

    def send(who: int) -> httpx.Response:
        return hand_in(client, {f"{who}-{n}.txt": GOOD + bytes([65 + n]) for n in range(5)})

    with ThreadPoolExecutor(2) as clients:
        found = [it for answer in clients.map(send, (1, 2)) for it in answer.json()["files"]]
    slots = [it["essay_id"] for it in found if it["status"] == "new_essay"]
    assert sorted(slots) == [f"e00{n}" for n in range(1, 8)]
    assert [it["status"] for it in found].count("excess") == 3
    for receipt in found:
        key = f"raw_upload_blob/class-a/{receipt['upload_id']}"
        assert served.shop.blobs.get(key, receipt["sha256"])


def test_a_file_larger_than_any_buffer_comes_whole(tmp_path: Path) -> None:
    limits = replace(LIMITS, max_file_bytes=3_000_000, max_request_bytes=4_000_000)
    data = bytes(range(256)) * 8_000
    with serving(tmp_path, limits) as served:
        client = served.teacher()
        register(client)
        for headers in ({}, {"Idempotency-Key": str(uuid.uuid4())}):
            name = f"{len(headers)}.bin"
            assert hand_in(client, {name: data}, headers).status_code == 201
        assert client.get("/v1/batches/class-a/essays/e001/raw").content == data
        assert client.get("/v1/batches/class-a/essays/e002/raw").content == data


def test_a_ledger_that_fails_for_a_moment_costs_a_slow_sender_nothing(served: Served) -> None:
    client, shop = served.teacher(), served.shop
    register(client, expected=5)
    files = [file(f"{n}.txt".encode(), GOOD + bytes([65 + n])) for n in range(3)]

    def sent() -> Iterator[bytes]:
        with shop.ledger.write() as tx:
            tx.connection.exec_driver_sql(
                "CREATE TRIGGER full BEFORE INSERT ON essays BEGIN SELECT RAISE(ABORT, 'full'); END"
            )
        yield field("batch_id", "class-a") + files[0] + files[1][:100]
        wait_for(lambda: len(shop.blob_hashes()) >= 1, 60)
        # Longer than a file that came whole waits for its place.
        time.sleep(0.3)
        assert paths(served) == []
        with shop.ledger.write() as tx:
            tx.connection.exec_driver_sql("DROP TRIGGER full")
        wait_for(lambda: len(paths(served)) == 1, 60)
        yield files[1][100:] + files[2] + form()

    answer = client.post(URL, content=sent(), headers=KIND)
    assert (answer.status_code, statuses(answer)) == (201, ["new_essay"] * 3)
    assert len(events(shop.ledger, "upload.finished")) == 1
