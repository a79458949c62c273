"""The webhook relay against a real receiver on this machine."""

import json
import socket
import time

import pytest

from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.relay.port import DeliveryError, Envelope
from huleedu_dagster.relay.relaying import Carried, Relaying, RetryPolicy
from huleedu_dagster.relay.signatures import verify
from huleedu_dagster.relay.webhook import InvalidTargetError, WebhookRelay, seconds_to_wait
from tests.support.ledger import from_ledger
from tests.unit.relay.events import NotedStop, envelopes, record, uploads
from tests.unit.relay.receiver import Answer, Receiver, receiver

SECRET = b"a secret of a school"
NOW = 1_700_000_000.0


@pytest.fixture
def event(ledger: Ledger) -> Envelope:
    """One event."""
    record(ledger, "ett")
    return envelopes(ledger)[0]


def refusal(answer: Answer, event: Envelope) -> DeliveryError:
    """How a relay takes an answer that is no 2xx."""
    with receiver(answer) as there, pytest.raises(DeliveryError) as caught:
        WebhookRelay(there.url, SECRET, clock=lambda: NOW).deliver([event])
    assert len(there.requests) == 1
    return caught.value


def carry(ledger: Ledger, there: Receiver, stop: NotedStop | None = None) -> Carried:
    relay = WebhookRelay(there.url, SECRET)
    policy = RetryPolicy(attempts=3)
    return Relaying(ledger, relay, stop=stop or NotedStop(), policy=policy).run(once=True)


def received(there: Receiver) -> list[Envelope]:
    return [json.loads(it.body) for it in there.requests]


def test_an_event_is_posted_as_json_with_its_id_type_and_signature(event: Envelope) -> None:
    with receiver() as there:
        WebhookRelay(there.url, SECRET, clock=lambda: NOW).deliver([event])
    (request,) = there.requests
    assert (request.method, request.path) == ("POST", "/hook?token=t")
    assert json.loads(request.body) == event
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-Huleedu-Event-Id"] == event["event_id"]
    assert request.headers["X-Huleedu-Event-Type"] == event["event_type"]
    assert request.headers["X-Huleedu-Timestamp"] == "1700000000"
    assert verify(SECRET, request.headers, request.body, NOW)
    assert not verify(SECRET[::-1], request.headers, request.body, NOW)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_a_delivery(event: Envelope, status: int) -> None:
    with receiver(Answer(status)) as there:
        WebhookRelay(there.url, SECRET).deliver([event])
    assert len(there.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 405, 410, 413, 422, 451])
def test_a_4xx_is_a_refusal_for_good(event: Envelope, status: int) -> None:
    error = refusal(Answer(status), event)
    assert (error.retryable, error.reason) == (False, f"status {status}")


@pytest.mark.parametrize("status", [302, 307, 408, 425, 429, 500, 502, 503])
def test_what_may_pass_is_tried_again(event: Envelope, status: int) -> None:
    error = refusal(Answer(status, {"Retry-After": "17"}), event)
    assert (error.retryable, error.retry_after) == (True, 17)


def test_a_redirect_is_not_followed(event: Envelope) -> None:
    with receiver() as elsewhere:
        refusal(Answer(307, {"Location": elsewhere.url}), event)
    assert elsewhere.requests == []


@pytest.mark.parametrize("answer", [Answer(silent=True), Answer(drip=0.1)], ids=["silent", "drip"])
def test_a_receiver_that_takes_too_long_is_given_up_for_now(
    event: Envelope, answer: Answer
) -> None:
    with receiver(answer) as there, pytest.raises(DeliveryError, match="TimeoutError") as caught:
        WebhookRelay(there.url, SECRET, timeout=0.2).deliver([event])
    assert caught.value.retryable


def test_a_receiver_that_is_not_there_is_tried_again_later(event: Envelope) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/secret-path"
        with pytest.raises(DeliveryError, match=r"^ConnectionRefusedError$") as caught:
            WebhookRelay(url, SECRET).deliver([event])
    assert caught.value.retryable


def test_what_does_not_speak_http_is_tried_again_later(event: Envelope) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"https://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(DeliveryError) as caught:
            WebhookRelay(url, SECRET, timeout=0.2).deliver([event])
    assert caught.value.retryable


def test_a_500_and_then_a_200_is_one_event_delivered_with_a_fresh_signature(
    ledger: Ledger,
) -> None:
    record(ledger, "one", "two", "three")
    stop = NotedStop()
    with receiver(Answer(), Answer(500), Answer(503, {"Retry-After": "33"})) as there:
        assert carry(ledger, there, stop) == Carried(delivered=3)
    assert uploads(received(there)) == ["one", "two", "two", "two", "three"]
    assert stop.pauses[1] == 33
    assert all(verify(SECRET, it.headers, it.body, time.time()) for it in there.requests)


def test_a_400_is_a_dead_letter_and_the_next_event_goes_on(ledger: Ledger) -> None:
    record(ledger, "one", "two", "three")
    with receiver(Answer(), Answer(400)) as there:
        assert carry(ledger, there) == Carried(delivered=2, dead=1)
    assert uploads(received(there)) == ["one", "two", "three"]
    (letter,) = from_ledger(ledger, lambda tx: tx.relays.open_letters())
    assert (letter.seq, letter.reason, letter.attempts) == (2, "status 400", 1)


def test_a_hundred_events_arrive_exactly_in_order_past_busy_times(ledger: Ledger) -> None:
    wanted = [f"u{number:03d}" for number in range(100)]
    record(ledger, *wanted)
    with receiver(*[Answer(status) for status in (200, 500, 200, 429, 503)] * 20) as there:
        assert carry(ledger, there) == Carried(delivered=100)
    seen = list(dict.fromkeys(uploads(received(there))))
    assert seen == wanted


@pytest.mark.parametrize(
    "url",
    [
        "ftp://school.example/",
        "http:///path",
        "http://user:password@school.example/",
        "http://school.example/\r\nX: y",
        "http://school.example/ü",
        "http://school.example:99999/",
        "http://school.example:0/",
        "http://[::1/",
        "",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InvalidTargetError) as caught:
        WebhookRelay(url, SECRET)
    assert "school" not in str(caught.value)
    assert "password@" not in str(caught.value)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(InvalidTargetError):
        WebhookRelay("http://school.example/", b"fifteen bytes..")


def test_the_name_tells_the_host_and_no_path_and_tells_hooks_apart() -> None:
    host = "a" * 60 + ".example"
    names = [WebhookRelay(f"https://{host}/s3cret{it}", SECRET).name for it in (1, 2)]
    assert names[0] != names[1]
    assert all("s3cret" not in name and len(name) <= 80 for name in names)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0),
        ("Tue, 14 Nov 2023 22:14:20 -0000", 60),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        (None, None),
        ("9" * 400, 999_999_999),
        ("Tue, 14 Nov 2023 22:14:20 +99999999999999", None),
        ("Tue, 14 Nov 99999999999999 22:14:20 GMT", None),
        ("Tue, 14 Nov 2023 99999999999:14:20 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert seconds_to_wait(header, NOW) == seconds
