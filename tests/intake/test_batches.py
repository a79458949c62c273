"""Batches over HTTP: registered, looked at, closed, waived; dead letters replayed."""

import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.outcomes import EssayOutcome
from huleedu_dagster.reports.bag_check import check_bag
from tests.intake.served import Served

URL = "/v1/batches/register"
NOT_ALLOWED: list[tuple[Any, str]] = [
    ({"expected_essay_count": 0}, "body.expected_essay_count"),
    ({"expected_essay_count": 100}, "body.expected_essay_count"),
    ({"batch_id": "Class A"}, "body.batch_id"),
    ({"language": "xx"}, "body.language"),
    ({"language": "sv", "variety": "en-GB"}, "body"),
    ({"variety": "en-ZZ"}, "body.variety"),
    ({"min_words": 10, "max_words": 9}, "body"),
    ({"deadline": "2026-12-01T23:59:00"}, "body.deadline"),
    ({"deadline": "0001-01-01T00:00:00+23:00"}, "body.deadline"),
    ({"timeout_seconds": 1e300}, "body.timeout_seconds"),
    ({"course": "a\x00b"}, "body.course"),
    ({"word_list": ["x" * 101]}, "body.word_list.0"),
    ({"unheard_of": 1}, "body.unheard_of"),
    ([], "body"),
]


def registered(client: httpx.Client, **asked: Any) -> dict[str, Any]:
    """Register a batch and tell what was answered."""
    answer = client.post(URL, json={"batch_id": "class-a", "expected_essay_count": 2, **asked})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_registered_batch_has_an_id_a_correlation_id_and_its_settings(served: Served) -> None:
    client = served.teacher()
    sent = str(uuid.uuid4())
    answer = client.post(
        URL,
        json={
            "expected_essay_count": 30,
            "course": "English 6",
            "class_name": "9B",
            "language": "en",
            "variety": "en-GB",
            "instructions": "Write about the sea.\nTwo pages.",
            "deadline": "2026-12-01T23:59:00+01:00",
            "timeout_seconds": 3600,
            "word_list": ["Selma"],
            "min_words": 10,
            "max_words": 100,
        },
        headers={"X-Correlation-ID": sent},
    )
    assert answer.status_code == 201
    body = answer.json()
    assert answer.headers["location"] == f"/v1/batches/{body['batch_id']}"
    assert body["correlation_id"] == sent == answer.headers["x-correlation-id"]
    with served.shop.ledger.read() as tx:
        kept = tx.batches.get(body["batch_id"]).registration
    assert (kept.course, kept.class_name, kept.source) == ("English 6", "9B", "api")
    assert kept.deadline is not None
    assert kept.deadline.isoformat() == "2026-12-01T22:59:00+00:00"
    assert kept.timeout_seconds == 3600
    assert kept.settings.model_dump(mode="json") == body["settings"]
    assert (body["settings"]["variety"], body["settings"]["word_list"]) == ("en-GB", ["selma"])


def test_an_empty_body_registers_a_batch_as_the_installation_has_it(served: Served) -> None:
    body = served.teacher().post(URL, json={}).json()
    assert body["expected_essay_count"] is None
    assert body["settings"] == served.app.state.services.settings.batch_settings.model_dump(
        mode="json"
    )


def test_a_batch_id_is_taken_once(served: Served) -> None:
    registered(served.teacher("one"))
    answer = served.teacher("other").post(URL, json={"batch_id": "class-a"})
    assert (answer.status_code, answer.json()["code"]) == (409, "BATCH_EXISTS")


def test_a_value_that_is_not_allowed_is_named_and_not_repeated(served: Served) -> None:
    client = served.teacher()
    for asked, where in NOT_ALLOWED:
        answer = client.post(URL, json=asked)
        body = answer.json()
        assert (answer.status_code, body["code"]) == (422, "INVALID_REQUEST"), asked
        assert [it["where"] for it in body["errors"]] == [where]
        assert all(set(it) == {"where", "message"} for it in body["errors"])


def test_a_batch_is_told_as_the_command_line_tells_it(served: Served) -> None:
    client = served.teacher()
    registered(client)
    served.shop.receive("Ida/essay.txt")
    served.shop.process()
    view = served.shop.view()
    assert client.get("/v1/batches/class-a").json() == view.model_dump(mode="json")
    assert client.get("/v1/batches").json() == [view.model_dump(mode="json", exclude={"essays"})]


def test_batches_are_listed_in_pages_the_latest_first(served: Served) -> None:
    client = served.teacher()
    for name in ("a", "b", "c"):
        registered(client, batch_id=name)
        served.shop.clock.advance(1)
    assert [it["batch_id"] for it in client.get("/v1/batches").json()] == ["c", "b", "a"]
    second = client.get("/v1/batches", params={"limit": 1, "offset": 1})
    assert [it["batch_id"] for it in second.json()] == ["b"]
    assert second.links["next"]["url"] == "/v1/batches?limit=1&offset=2"
    last = client.get(second.links["next"]["url"])
    assert [it["batch_id"] for it in last.json()] == ["a"]
    assert "link" not in last.headers
    assert "link" not in client.get("/v1/batches", params={"limit": 3}).headers
    other = served.teacher("other")
    assert other.get("/v1/batches", params={"limit": 1}).json() == []
    assert other.get("/v1/batches", params={"offset": 10**6}).json() == []
    assert client.get("/v1/batches", params={"limit": 0}).status_code == 422


def test_an_essay_is_told_with_its_text_and_corrections(served: Served) -> None:
    client = served.teacher()
    registered(client)
    served.shop.receive("essay.txt")
    served.shop.process()
    view = client.get("/v1/batches/class-a/essays/e001").json()
    assert view["outcome"] == EssayOutcome.ACCEPTED
    assert "teh sea" in view["text"]
    assert "TEH sea" in view["corrected_text"]
    assert [it["word"] for it in view["misspelled_words"]] == ["teh"]
    for slot in ("e002", "e999", "x", "%00"):
        answer = client.get(f"/v1/batches/class-a/essays/{slot}")
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


def test_closing_a_batch_twice_changes_nothing(served: Served) -> None:
    client = served.teacher()
    registered(client)
    first = client.post("/v1/batches/class-a/close")
    assert (first.status_code, first.json()["status"]) == (200, "processing")
    assert client.post("/v1/batches/class-a/close").json() == first.json()
    with served.shop.ledger.read() as tx:
        assert tx.batches.get("class-a").closed_by is ClosedBy.REQUEST


def test_an_operator_waives_what_is_missing_and_nothing_else(served: Served) -> None:
    client = served.operator()
    registered(client)
    served.shop.receive("essay.txt")
    client.post("/v1/batches/class-a/close")
    reason = {"reason": "ill"}
    url = "/v1/batches/class-a/essays/{}/waive"
    assert client.post(url.format("e001"), json=reason).json()["code"] == "NOT_WAIVABLE"
    assert client.post(url.format("e0001"), json=reason).status_code == 422
    assert client.post(url.format("e002"), json={"reason": " "}).status_code == 422
    done = client.post(url.format("e002"), json=reason)
    assert (done.status_code, done.json()["waived"]) == (200, 1)


def test_an_operator_replays_a_dead_letter_once(served: Served) -> None:
    client = served.operator()
    registered(client)
    served.shop.receive("essay.txt")
    served.shop.fail_until_dead()
    (letter,) = client.get("/v1/dead-letters").json()
    assert (letter["batch_id"], letter["slot"]) == ("class-a", "e001")
    url = f"/v1/dead-letters/{letter['dead_letter_id']}/replay"
    assert client.post(url).json() == letter
    again = client.post(url)
    assert (again.status_code, again.json()["code"]) == (409, "NOT_REPLAYABLE")
    assert client.get("/v1/dead-letters").json() == []
    (all_of_them,) = client.get("/v1/dead-letters", params={"all": True}).json()
    assert all_of_them["state"] == "replayed"
    for number in (77, 2**31 - 1):
        assert client.post(f"/v1/dead-letters/{number}/replay").status_code == 404
    assert client.post(f"/v1/dead-letters/{2**70}/replay").status_code == 422


def test_what_is_stored_is_handed_out_as_downloads_without_rights(served: Served) -> None:
    client = served.teacher()
    registered(client, expected_essay_count=1)
    data = b"<script>alert(1)</script> Teh sea is wide and blue today."
    served.shop.receive('Ida/\u202etxt."es%say\u00e5.txt', data)
    served.shop.process()
    served.shop.release()
    base = "/v1/batches/class-a"
    raw = client.get(f"{base}/essays/e001/raw")
    assert raw.content == data
    assert raw.headers["content-type"] == "application/octet-stream"
    names = raw.headers["content-disposition"]
    assert names.startswith('attachment; filename="e001-txt._es_say_.txt"')
    assert names.endswith("filename*=UTF-8''e001-txt._es_say%C3%A5.txt")
    text = client.get(f"{base}/essays/e001/text")
    assert "Teh sea" in text.text
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert "TEH sea" in client.get(f"{base}/essays/e001/corrected").text
    assert json.loads(client.get(f"{base}/report.json").text)["batch_id"] == "class-a"
    html = client.get(f"{base}/report.html")
    assert html.text.lstrip().lower().startswith("<!doctype html>")
    for answer in (raw, text, html):
        assert answer.headers["content-disposition"].startswith("attachment; ")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]


def test_all_of_a_batch_is_one_download_that_an_archive_can_verify(
    served: Served, tmp_path: Path
) -> None:
    client = served.teacher()
    registered(client, expected_essay_count=2)
    served.shop.receive("Ida/essay.txt")
    served.shop.process_pending()
    file = tmp_path / "bag.zip"
    with client.stream("GET", "/v1/batches/class-a/bag.zip") as answer:
        assert answer.headers["content-type"] == "application/zip"
        assert answer.headers["content-disposition"].startswith('attachment; filename="class-a.zip')
        assert "sandbox" in answer.headers["content-security-policy"]
        file.write_bytes(b"".join(answer.iter_bytes()))
    assert check_bag(file) == 10


def test_a_bag_of_what_is_damaged_ends_early_and_is_no_zip(served: Served) -> None:
    client = served.teacher()
    registered(client)
    served.shop.receive("Ida/essay.txt")
    victim = served.shop.folder / "blobs" / served.shop.essay().upload.blob_key
    victim.chmod(0o600)
    victim.write_bytes(b"other")
    with (
        client.stream("GET", "/v1/batches/class-a/bag.zip") as answer,
        pytest.raises(httpx.RemoteProtocolError, match="incomplete"),
    ):
        list(answer.iter_bytes())


def test_a_result_that_is_not_there_yet_is_a_404(served: Served) -> None:
    client = served.teacher()
    registered(client)
    served.shop.receive("essay.txt")
    for name in ("essays/e001/text", "essays/e001/corrected", "report.json", "report.html"):
        answer = client.get(f"/v1/batches/class-a/{name}")
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND"), name
    assert client.get("/v1/batches/class-a/report.pdf").status_code == 422
