"""Signs of life, given to a real broker and read from it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from huleedu_dagster.orchestration.celery_signs import (
    BrokerAwayError,
    Doing,
    Signs,
    signs_of_life,
)
from tests.support.sandboxes import wait_until
from tests.support.valkey import broker_url, valkey

_ROUNDING = 0.05
"""More than what a broker rounds an age by, seconds."""


@pytest.fixture
def url() -> str:
    return broker_url()


@pytest.fixture
def signs(url: str) -> Iterator[Signs]:
    found = Signs(url)
    yield found
    found.close()


def is_working(signs: Signs, task_id: str, *, within: float = 60) -> bool:
    sign = signs.last(task_id)
    return sign is not None and sign.doing is Doing.WORKING and sign.age < within


def was_given_after(moment: float, signs: Signs, task_id: str) -> bool:
    asked = time.monotonic()
    sign = signs.last(task_id)
    return sign is not None and sign.age + _ROUNDING < asked - moment


def test_nobody_has_spoken_of_a_task_that_nobody_began(signs: Signs) -> None:
    assert signs.last("unknown") is None


def test_a_sign_has_an_age_that_grows(signs: Signs) -> None:
    signs.give("ageing", Doing.WORKING)
    first = signs.last("ageing")
    time.sleep(0.05)
    second = signs.last("ageing")
    assert first is not None
    assert second is not None
    assert 0 <= first.age < second.age < 60


def test_signs_are_given_again_and_again_until_the_task_has_ended(url: str, signs: Signs) -> None:
    with signs_of_life(url, "task"):
        wait_until(lambda: is_working(signs, "task"))
        seen = time.monotonic()
        wait_until(lambda: was_given_after(seen, signs, "task"))
    last = signs.last("task")
    assert last is not None
    assert last.doing is Doing.ENDED


def test_a_task_that_fails_has_ended(url: str, signs: Signs) -> None:
    with pytest.raises(LookupError), signs_of_life(url, "failing"):
        raise LookupError
    last = signs.last("failing")
    assert last is not None
    assert last.doing is Doing.ENDED


def test_a_broker_that_is_away_ends_no_task_and_hears_of_it_when_it_is_back(tmp_path: Path) -> None:
    broker = valkey(tmp_path)
    broker.start()
    signs = Signs(broker.url)
    try:
        with signs_of_life(broker.url, "task"):
            wait_until(lambda: is_working(signs, "task"))
            broker.forget()
            with pytest.raises(BrokerAwayError, match="HULEEDU_BROKER_URL"):
                signs.last("task")
            broker.start()
            wait_until(lambda: is_working(signs, "task", within=1))
    finally:
        signs.close()
        broker.kill()


def test_a_broker_keeps_what_it_was_told_when_it_is_restarted(tmp_path: Path) -> None:
    broker = valkey(tmp_path, "secret")
    broker.start()
    signs = Signs(broker.url)
    try:
        signs.give("task", Doing.WORKING)
        broker.stop()
        broker.start()
        assert is_working(signs, "task")
    finally:
        signs.close()
        broker.kill()


def test_the_message_about_a_broker_that_refuses_holds_no_password(tmp_path: Path) -> None:
    broker = valkey(tmp_path, "right")
    broker.start()
    signs = Signs(broker.url.replace("right", "wrong-secret"))
    try:
        with pytest.raises(BrokerAwayError) as caught:
            signs.last("task")
        assert "wrong-secret" not in str(caught.value)
    finally:
        signs.close()
        broker.kill()
