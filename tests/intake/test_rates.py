"""How often may be asked: by a token, by an address, and at how many streams at once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from huleedu_dagster.intake.limits import IntakeLimits
from huleedu_dagster.intake.problems import ProblemCode, ProblemError
from huleedu_dagster.intake.rates import Rates
from tests.intake.browsers import HTML, browser, secret_of
from tests.intake.conftest import NOON
from tests.intake.served import LIMITS, Served, serving
from tests.intake.test_door import problem

MINUTE = 60.0


def wait_after(ask: Callable[[], None], code: ProblemCode) -> int:
    """Ask until it is refused with this code; the seconds to wait."""
    refusals: list[ProblemError] = []
    while not refusals:
        try:
            ask()
        except ProblemError as refused:
            refusals.append(refused)
    assert refusals[0].code is code
    assert refusals[0].headers is not None
    return int(refusals[0].headers["Retry-After"])


def test_a_token_is_asked_to_wait_and_others_are_not(clock: list[float]) -> None:
    rates = Rates(IntakeLimits(requests_per_minute=10))
    for _ in range(10):
        rates.count_request("one")
    wait = wait_after(lambda: rates.count_request("one"), ProblemCode.TOO_MANY_REQUESTS)
    assert 1 <= wait <= MINUTE + 1
    rates.count_request("two")
    clock[0] += wait - 2
    with pytest.raises(ProblemError):
        rates.count_request("one")


@pytest.mark.parametrize("begin", [NOON, NOON - 0.499, NOON + 31.7, NOON + 59.499])
def test_who_waits_as_long_as_is_said_is_answered(clock: list[float], begin: float) -> None:
    rates = Rates(IntakeLimits(requests_per_minute=10))
    clock[0] = begin
    for _ in range(30):
        clock[0] += wait_after(lambda: rates.count_request("one"), ProblemCode.TOO_MANY_REQUESTS)
        rates.count_request("one")


def test_no_window_of_a_minute_holds_more_than_the_limit(clock: list[float]) -> None:
    rates, answered = Rates(IntakeLimits(requests_per_minute=10)), []
    for step in range(2_000):
        clock[0] = NOON + step / 7
        try:
            rates.count_request("one")
        except ProblemError:
            continue
        answered.append(clock[0])
    for begin in answered:
        assert len([it for it in answered if begin <= it < begin + MINUTE]) <= 12
    assert len(answered) >= 40


def test_failures_are_counted_by_address_and_by_network_of_ipv6(clock: list[float]) -> None:
    rates = Rates(IntakeLimits(failures_per_minute=2))
    for address in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"):
        rates.count_failure(address)
    same = "2001:db8:1:2::abcd%eth0"
    assert wait_after(lambda: rates.count_failure(same), ProblemCode.TOO_MANY_FAILURES) > 1
    with pytest.raises(ProblemError):
        rates.count_failure(same)
    others = [f"2001:db8:{number:x}::1" for number in range(10, 20)]
    answered = 0
    for address in (*others, "192.0.2.1", "", "no address"):
        try:
            rates.count_failure(address)
        except ProblemError:
            continue
        answered += 1
    # Two may share a counter by chance.
    assert answered >= len(others)


def test_the_memory_does_not_grow_with_the_addresses(clock: list[float]) -> None:
    rates = Rates(IntakeLimits(failures_per_minute=1_000_000))
    for number in range(30_000):
        rates.count_failure(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert 3_000 < rates.counters <= 4_096


@pytest.mark.usefixtures("clock")
def test_over_the_rate_a_token_gets_429_and_health_does_not_count(tmp_path: Path) -> None:
    with serving(tmp_path, replace(LIMITS, requests_per_minute=3)) as served:
        client = served.teacher()
        for path in ("/healthz", "/readyz", "/healthz", "/readyz"):
            assert client.get(path).status_code == 200
        assert [client.get("/v1/batches").status_code for _ in range(3)] == [200] * 3
        refused = client.get("/v1/batches")
        problem(refused, 429, "TOO_MANY_REQUESTS")
        assert 1 <= int(refused.headers["retry-after"]) <= MINUTE
        problem(client.post("/v1/files/batch"), 429, "TOO_MANY_REQUESTS")
        assert client.get("/healthz").status_code == 200
        assert served.teacher("other").get("/v1/batches").status_code == 200


@pytest.mark.usefixtures("clock")
def test_a_browser_counts_as_its_token(tmp_path: Path) -> None:
    with serving(tmp_path, replace(LIMITS, requests_per_minute=2)) as served:
        token = served.token("teacher")
        client = browser(served, token)
        made = client.post("/v1/batches/register", json={}, headers=secret_of(served, client))
        assert made.status_code == 201
        assert served.client(token).get("/v1/batches").status_code == 200
        problem(client.get("/v1/batches"), 429, "TOO_MANY_REQUESTS")
        page = client.get("/", headers=HTML)
        assert page.status_code == 429
        assert page.headers["retry-after"]


@pytest.mark.usefixtures("clock")
def test_wrong_tokens_are_refused_and_soon_asked_to_wait_and_valid_ones_never(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, replace(LIMITS, failures_per_minute=3)) as served:
        wrong, teacher = served.client("wrong"), served.teacher()
        for _ in range(3):
            problem(wrong.get("/v1/batches"), 401, "NOT_AUTHENTICATED")
        refused = wrong.get("/v1/batches")
        problem(refused, 429, "TOO_MANY_FAILURES")
        assert 1 <= int(refused.headers["retry-after"]) <= MINUTE
        assert teacher.get("/v1/batches").status_code == 200
        # Who shows no token at all has not tried one.
        problem(served.client().get("/v1/batches"), 401, "NOT_AUTHENTICATED")


@contextmanager
def open_stream(served: Served, path: str = "/v1/held/stream") -> Iterator[None]:
    """A request that is answered until the block ends."""
    entered, done = threading.Event(), threading.Event()

    async def held() -> dict[str, str]:
        entered.set()
        await anyio.to_thread.run_sync(done.wait)
        return {}

    served.app.add_api_route(path, held)
    client = served.teacher("watcher")
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(client.get(path).status_code))
    thread.start()
    try:
        assert entered.wait(60)
        yield
    finally:
        done.set()
        thread.join(60)
    assert answers == [200]


def test_streams_take_no_place_of_other_requests_and_have_a_limit_of_their_own(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, replace(LIMITS, max_concurrent=2, max_streams=1)) as served:
        client = served.teacher()
        with open_stream(served):
            assert client.get("/v1/batches").status_code == 200
            refused = client.get("/v1/nothing/stream")
            problem(refused, 429, "TOO_MANY_REQUESTS")
            assert refused.headers["retry-after"] == "1"
        assert client.get("/v1/nothing/stream").status_code == 404


def test_a_stream_may_be_quiet_for_longer_than_a_body(tmp_path: Path) -> None:
    with serving(tmp_path, replace(LIMITS, idle_seconds=0.05)) as served:
        watched: list[str] = []

        async def quiet() -> dict[str, str]:
            await anyio.sleep(0.3)
            watched.append("to the end")
            return {}

        served.app.add_api_route("/v1/quiet/stream", quiet)
        assert served.teacher().get("/v1/quiet/stream").status_code == 200
        assert watched == ["to the end"]
