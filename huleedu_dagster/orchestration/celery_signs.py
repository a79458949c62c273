"""Signs of life of the processes that execute runs, given to the broker once a second.

Celery cannot be asked: a worker that is told to end finishes its run and answers nothing
meanwhile, and of a worker that was killed Celery says for ever that it has started its task.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum

from dagster._core.errors import DagsterUserCodeUnreachableError
from kombu.exceptions import OperationalError
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

_PREFIX = "huleedu:task:"
_KEPT_MS = 24 * 3600 * 1000
_BEAT_SECONDS = 1.0
_ANSWER_SECONDS = 2.0
_LAST_WORD_TRIES = 5


class BrokerAwayError(DagsterUserCodeUnreachableError):
    """The broker does not answer. Dagster's queue keeps a run that cannot be launched for this."""


@contextmanager
def as_broker_away() -> Iterator[None]:
    """Raise what the broker's clients raise as `BrokerAwayError`."""
    try:
        yield
    except (OperationalError, RedisError, OSError) as error:
        raise BrokerAwayError(
            f"the broker does not answer ({type(error).__name__}); see whether it runs and whether "
            "HULEEDU_BROKER_URL is its address"
        ) from error


class Doing(StrEnum):
    """What a process last said about a task."""

    WORKING = "working"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Sign:
    """The last sign of life about a task.

    Attributes:
        age: Seconds since it was given, by the broker's clock alone.
    """

    doing: Doing
    age: float


class Signs:
    """Signs of life in a broker; connects when first asked.

    Args:
        broker_url: A Redis-compatible broker.
    """

    def __init__(self, broker_url: str) -> None:
        # Whoever asks decides how long to go on asking.
        self._client = Redis.from_url(
            broker_url,
            socket_timeout=_ANSWER_SECONDS,
            socket_connect_timeout=_ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )

    def give(self, task_id: str, doing: Doing) -> None:
        """Say what is done about a task.

        Raises:
            BrokerAwayError: The broker does not answer.
        """
        with as_broker_away():
            self._client.set(_PREFIX + task_id, doing.value, px=_KEPT_MS)

    def last(self, task_id: str) -> Sign | None:
        """The last sign of a task; `None` if nobody began it, or the broker lost what it knew.

        Raises:
            BrokerAwayError: The broker does not answer.
        """
        with as_broker_away():
            both = self._client.pipeline()
            both.get(_PREFIX + task_id)
            both.pttl(_PREFIX + task_id)
            value, left_ms = both.execute()
        if value is None:
            return None
        return Sign(Doing(value.decode()), (_KEPT_MS - left_ms) / 1000)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()


@contextmanager
def signs_of_life(broker_url: str, task_id: str) -> Iterator[None]:
    """Give signs of life about a task while the block goes on, and say when it has ended."""
    ended = threading.Event()
    thread = threading.Thread(
        target=_give_signs, args=(broker_url, task_id, ended), name="signs-of-life", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _give_signs(broker_url: str, task_id: str, ended: threading.Event) -> None:
    signs = Signs(broker_url)
    while True:
        # A broker that is away for a moment must not end the run.
        with suppress(BrokerAwayError):
            signs.give(task_id, Doing.WORKING)
        if ended.wait(_BEAT_SECONDS):
            break
    for _ in range(_LAST_WORD_TRIES):
        try:
            signs.give(task_id, Doing.ENDED)
            break
        except BrokerAwayError:
            threading.Event().wait(_BEAT_SECONDS)
    signs.close()
