"""Versions of an essay and files without a slot: all kept, listed and handed out."""

import hashlib
import re
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.intake.forms import by_name, hand_in, statuses
from tests.intake.served import Served
from tests.intake.test_pages import shown
from tests.support.fakes import START

FIRST = b"The first version is about teh sea and the ships on it."
SECOND = b"The second version is about teh sea and the boats on it."
THIRD = b"The third version is about teh sea and the birds on it."
HOUR = timedelta(hours=1)


def registered(client: httpx.Client, expected: int | None, **asked: Any) -> None:
    """Register `class-a`, which closes after an hour."""
    body = {"batch_id": "class-a", "expected_essay_count": expected, **asked}
    body.setdefault("deadline", (START + HOUR).isoformat())
    assert client.post("/v1/batches/register", json=body).status_code == 201


def uploads(client: httpx.Client) -> list[dict[str, Any]]:
    """Every upload of the batch."""
    answer = client.get("/v1/batches/class-a/uploads")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def raw(client: httpx.Client, upload: dict[str, Any]) -> bytes:
    """The bytes of an upload."""
    answer = client.get(f"/v1/batches/class-a/uploads/{upload['upload_id']}/raw")
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.mark.parametrize("expected", [1, 2, None], ids=["full", "not full", "any number"])
def test_of_several_versions_the_latest_before_the_deadline_counts(
    served: Served, expected: int | None
) -> None:
    client, shop = served.teacher(), served.shop
    registered(client, expected)
    assert statuses(hand_in(client, {"essay.txt": FIRST})) == ["new_essay"]
    shop.process()
    shop.clock.now = START + HOUR - timedelta(seconds=1)
    assert statuses(hand_in(client, {"essay.txt": SECOND})) == ["new_version"]
    shop.clock.now = START + HOUR
    assert statuses(hand_in(client, {"essay.txt": THIRD})) == ["late"]
    shop.process()

    essay = client.get("/v1/batches/class-a/essays/e001").json()
    assert essay["text"] == SECOND.decode()
    assert [(it["version"], it["status"], it["current"]) for it in essay["versions"]] == [
        (1, "assigned", False),
        (2, "assigned", True),
        (3, "late", False),
    ]
    assert client.get("/v1/batches/class-a/essays/e001/raw").content == SECOND
    line, late = client.get("/v1/batches/class-a").json()["essays"]
    assert (line["essay_id"], line["raw_blob"]) == ("e001", essay["raw_blob"])
    assert (late["essay_id"], late["code"]) == (None, "ARRIVED_LATE")
    kept = uploads(client)
    assert [(it["version"], it["status"], it["essay_id"], it["current"]) for it in kept] == [
        (1, "assigned", "e001", False),
        (2, "assigned", "e001", True),
        (3, "late", None, False),
    ]
    assert [raw(client, it) for it in kept] == [FIRST, SECOND, THIRD]


def test_a_late_version_counts_once_the_batch_is_reopened(served: Served) -> None:
    client, shop = served.teacher(), served.shop
    registered(client, 1)
    hand_in(client, {"essay.txt": FIRST})
    shop.clock.now = START + HOUR
    hand_in(client, {"essay.txt": SECOND})
    shop.intake.reopen("class-a")
    shop.process()
    assert client.get("/v1/batches/class-a/essays/e001").json()["text"] == SECOND.decode()
    assert [it["current"] for it in uploads(client)] == [False, True]


def test_the_page_of_an_essay_tells_which_version_its_text_is_of(served: Served) -> None:
    client, shop = served.teacher(), served.shop
    registered(client, 2)
    hand_in(client, {"essay.txt": FIRST})
    shop.clock.advance(600)
    hand_in(client, {"essay.txt": SECOND})
    shop.clock.now = START + HOUR
    assert statuses(hand_in(client, {"essay.txt": THIRD})) == ["late"]
    shop.process()
    text = " ".join(shown(client, "/batches/class-a/essays/e001").text.split())
    assert "received 2026-11-22 09:10 UTC version 2" in text
    told = text.partition("Versions")[2]
    line = r"(\d)\. [-0-9]+ ([0-9:]+) UTC, [0-9]+ bytes(|, late, not counted| counts)[0-9a-f]{16}"
    assert re.findall(line, told) == [
        ("3", "10:00", ", late, not counted"),
        ("2", "09:10", " counts"),
        ("1", "09:00", ""),
    ]


def test_a_version_that_was_replaced_does_not_come_back_by_the_same_bytes_late(
    served: Served,
) -> None:
    client, shop = served.teacher(), served.shop
    registered(client, 1)
    hand_in(client, {"essay.txt": FIRST})
    hand_in(client, {"essay.txt": SECOND})
    shop.clock.now = START + HOUR
    assert statuses(hand_in(client, {"essay.txt": SECOND})) == ["unchanged"]
    assert statuses(hand_in(client, {"essay.txt": FIRST})) == ["late"]
    assert [it["current"] for it in uploads(client)] == [False, True, False]


def test_excess_files_are_listed_with_their_receipts_and_handed_out(served: Served) -> None:
    client = served.teacher()
    registered(client, 1)
    answer = hand_in(client, {"a.txt": FIRST, "Ida/\u202etxt.exe": SECOND})
    kept = uploads(client)
    assert [it["status"] for it in kept] == ["assigned", "excess"]
    for upload, receipt in zip(kept, by_name(answer).values(), strict=True):
        assert {it: upload[it] for it in ("upload_id", "bytes", "sha256", "received_at")} == {
            it: receipt[it] for it in ("upload_id", "bytes", "sha256", "received_at")
        }
        assert hashlib.sha256(raw(client, upload)).hexdigest() == upload["sha256"]
    excess = client.get(f"/v1/batches/class-a/uploads/{kept[1]['upload_id']}/raw")
    assert excess.headers["content-disposition"].startswith('attachment; filename="excess-txt.exe"')
    assert "sandbox" in excess.headers["content-security-policy"]


def test_an_upload_of_another_batch_is_not_there(served: Served) -> None:
    client = served.operator()
    registered(client, 1)
    served.shop.register("class-b")
    other = served.shop.receive("essay.txt", batch_id="class-b").upload_id
    for upload_id in (other, "x", "%00", "0" * 300):
        answer = client.get(f"/v1/batches/class-a/uploads/{upload_id}/raw")
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND"), upload_id


def test_a_batch_tells_since_when_its_longest_waiting_essay_waits(served: Served) -> None:
    client, shop = served.teacher(), served.shop
    registered(client, 2)
    url = "/v1/batches/class-a"
    assert client.get(url).json()["waiting_since"] is None
    first = by_name(hand_in(client, {"a.txt": FIRST}))["a.txt"]
    shop.clock.advance(60)
    second = by_name(hand_in(client, {"b.txt": SECOND}))["b.txt"]
    assert client.get(url).json()["waiting_since"] == first["received_at"]
    shop.process("e001")
    assert client.get(url).json()["waiting_since"] == second["received_at"]
    shop.clock.advance(60)
    newer = by_name(hand_in(client, {"b.txt": THIRD}))["b.txt"]
    assert client.get(url).json()["waiting_since"] == newer["received_at"]
    assert client.get("/v1/batches").json()[0]["waiting_since"] == newer["received_at"]
    shop.process("e002")
    assert client.get(url).json()["waiting_since"] is None


def test_a_batch_is_reopened_over_http_by_operators_alone(served: Served) -> None:
    client, operator = served.teacher(), served.operator()
    registered(client, 3)
    hand_in(client, {"a.txt": FIRST})
    client.post("/v1/batches/class-a/close")
    hand_in(client, {"b.txt": SECOND, "c.txt": THIRD})
    assert client.post("/v1/batches/class-a/reopen").status_code == 403
    answer = operator.post("/v1/batches/class-a/reopen")
    assert answer.status_code == 200
    assert (answer.json()["received"], answer.json()["excess"]) == (3, 0)
    names = [it["file_name"] for it in answer.json()["essays"]]
    assert names == ["a.txt", "b.txt", "c.txt"]
    assert operator.post("/v1/batches/unknown/reopen").status_code == 404
