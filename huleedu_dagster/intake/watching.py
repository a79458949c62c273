"""Batches that somebody watches: one poller for each, shared by all who watch it.

All of this lives in the event loop of the server, but for reads of the ledger, which threads of
its own make; so nothing here needs a lock.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from huleedu_dagster.domain.access import Principal
from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.domain.keys import hash_of
from huleedu_dagster.intake.authority import visible_batch
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.ledger.progress import Progress
from huleedu_dagster.ledger.tokens import UnknownTokenError
from huleedu_dagster.pipeline.views import BatchFacts, batch_view

SETTLED_SUFFIX = "-settled"
"""Ends the id of the last event of a stream."""

_DONE = (BatchStatus.READY, BatchStatus.INCOMPLETE)
_ID_LENGTH = 16
_THREADS = 4
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often things are done, all in seconds.

    Attributes:
        poll: Between two looks at a watched batch.
        check: Between two looks at whether those who watch still may.
        heartbeat: How long a stream is silent before it shows that it lives.
        patience: How long a stream outlives a ledger that cannot be read.
        retry: After how long a client is asked to come back when its stream breaks off.
    """

    poll: float = 0.5
    check: float = 10.0
    heartbeat: float = 15.0
    patience: float = 60.0
    retry: float = 2.0


@dataclass(frozen=True, slots=True)
class BatchState:
    """A batch as it was at one moment.

    Attributes:
        state_id: Equal for equal states; the time that an unfinished batch takes plays no part.
        data: What `GET /v1/batches/{batch_id}` answers.
        final: Whether it stays so until somebody does something.
    """

    state_id: str
    data: str
    status: BatchStatus
    final: bool

    @property
    def settled_id(self) -> str:
        """The id of the last event of a stream that ends with this state."""
        return f"{self.state_id}{SETTLED_SUFFIX}"


@dataclass(frozen=True, slots=True)
class Look:
    """What one read of the ledger found.

    Attributes:
        number: Looks that began later have higher numbers.
        state: `None` if it is that of the `progress` that was known.
        refused: Those who may not watch any more.
    """

    batch_id: str
    number: int
    progress: Progress
    state: BatchState | None
    refused: frozenset[Principal] = frozenset()


@dataclass(eq=False)
class Watch:
    """One watched batch.

    Attributes:
        state: Its latest state.
        changed: Set once there is something new, and then replaced by another.
        seen_at: When the ledger was last read (monotonic clock, seconds).
        watchers: Those who watch, each under a number of its own.
    """

    batch_id: str
    state: BatchState
    number: int
    progress: Progress
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    seen_at: float = field(default_factory=time.monotonic)
    watchers: dict[int, Principal] = field(default_factory=dict)
    poller: asyncio.Task[None] | None = None

    def take(self, look: Look) -> None:
        """Take in what a look found, unless a later one was faster."""
        self.seen_at = time.monotonic()
        if look.number > self.number and look.state is not None:
            self.number, self.progress = look.number, look.progress
            if look.state.state_id != self.state.state_id:
                self.state = look.state
                self.wake()
        if look.refused:
            self.watchers = {key: it for key, it in self.watchers.items() if it not in look.refused}
            self.wake()

    def wake(self) -> None:
        """Let all who wait look again."""
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


class Streams:
    """The streams of an application.

    Args:
        ledger: Where batches are.
        pace: How often things are done.
    """

    def __init__(self, ledger: Ledger, pace: Pace | None = None) -> None:
        self._ledger = ledger
        self._pace = pace or Pace()
        self._watches: dict[str, Watch] = {}
        self._numbers = itertools.count(1)
        # A ledger that hangs must not take the threads that answer other requests.
        self._threads = anyio.CapacityLimiter(_THREADS)
        self._ended = False

    @property
    def watched(self) -> Mapping[str, int]:
        """The batches that are watched, with the number of those who watch."""
        return {it.batch_id: len(it.watchers) for it in self._watches.values()}

    def end(self) -> None:
        """End every stream, since the server ends."""
        self._ended = True
        for watch in self._watches.values():
            watch.wake()

    async def look(self, principal: Principal, batch_id: str) -> Look:
        """Look at a batch for somebody who wants to watch it.

        Raises:
            UnknownBatchError: There is none of this id that is visible to them.
            sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
        """
        number = next(self._numbers)

        def read() -> Look:
            with self._ledger.read() as tx:
                visible_batch(tx, principal, batch_id)
                progress = tx.progress.of_batch(batch_id)
                return Look(batch_id, number, progress, state_of(tx, batch_id))

        return await anyio.to_thread.run_sync(read)

    async def messages(
        self,
        principal: Principal,
        first: Look,
        last_event_id: str | None,
        may_go_on: Callable[[], bool],
    ) -> AsyncGenerator[bytes]:
        """The messages of one stream, to be closed when it is not read to its end.

        Args:
            principal: Who watches.
            first: What `look` found.
            last_event_id: Id of the last event that the client has had.
            may_go_on: Asked before every event and every comment.
        """
        sent = last_event_id
        yield format_sse_event(retry=round(self._pace.retry * 1000))
        with self._watching(principal, first) as (watch, key):
            while self._goes_on(watch, key) and may_go_on():
                # Taken before the state, so that no change in between is missed.
                changed, state = watch.changed, watch.state
                if state.state_id != sent:
                    sent = state.state_id
                    yield format_sse_event(event="batch", id=sent, data_str=state.data)
                    continue
                if state.final:
                    told = f'{{"batch_id":"{watch.batch_id}","status":"{state.status}"}}'
                    yield format_sse_event(event="settled", id=state.settled_id, data_str=told)
                    return
                with anyio.move_on_after(self._pace.heartbeat) as waiting:
                    await changed.wait()
                if waiting.cancelled_caught:
                    yield KEEPALIVE_COMMENT

    def _goes_on(self, watch: Watch, key: int) -> bool:
        silent = time.monotonic() - watch.seen_at
        return not self._ended and key in watch.watchers and silent < self._pace.patience

    @contextmanager
    def _watching(self, principal: Principal, first: Look) -> Iterator[tuple[Watch, int]]:
        watch = self._watches.get(first.batch_id)
        if watch is None:
            assert first.state is not None
            watch = Watch(first.batch_id, first.state, first.number, first.progress)
            # Of nobody's request: it looks for all who watch.
            watch.poller = asyncio.create_task(self._poll(watch), context=Context())
            self._watches[watch.batch_id] = watch
        watch.take(first)
        key = next(self._numbers)
        watch.watchers[key] = principal
        try:
            yield watch, key
        finally:
            watch.watchers.pop(key, None)
            if not watch.watchers:
                self._forget(watch)

    def _forget(self, watch: Watch) -> None:
        if self._watches.get(watch.batch_id) is watch:
            del self._watches[watch.batch_id]
        if watch.poller is not None:
            watch.poller.cancel()

    async def _poll(self, watch: Watch) -> None:
        checked_at, reachable = time.monotonic(), True
        while True:
            await asyncio.sleep(self._pace.poll)
            due = time.monotonic() - checked_at >= self._pace.check
            if due:
                checked_at = time.monotonic()
            try:
                watch.take(
                    await self._look_again(watch, set(watch.watchers.values()) if due else ())
                )
                reachable = True
            except Exception as error:
                # Whatever it is, the next look may be well; those who watch have a patience.
                if reachable:
                    _LOG.warning("ledger not read", exc_info=error, extra={"phase": "stream"})
                reachable = False

    async def _look_again(self, watch: Watch, watchers: Collection[Principal]) -> Look:
        number, known = next(self._numbers), watch.progress

        def read() -> Look:
            with self._ledger.read() as tx:
                progress = tx.progress.of_batch(watch.batch_id)
                state = None if progress == known else state_of(tx, watch.batch_id)
                refused = frozenset(it for it in watchers if not _is_valid(tx, it))
                return Look(watch.batch_id, number, progress, state, refused)

        return await anyio.to_thread.run_sync(read, limiter=self._threads, abandon_on_cancel=True)


def state_of(tx: Transaction, batch_id: str) -> BatchState:
    """The state of a batch.

    Raises:
        UnknownBatchError: It is not registered.
    """
    facts = BatchFacts.read(tx, batch_id)
    view = batch_view(facts, tx.now)
    told = view.model_dump(mode="json")
    if facts.settled_at is None:
        # It has lasted until now, and that is another moment with every look.
        del told["duration_seconds"]
    final = view.status in _DONE and not facts.reprocessing
    return BatchState(
        state_id=hash_of([told, final])[:_ID_LENGTH],
        data=view.model_dump_json(),
        status=view.status,
        final=final,
    )


def _is_valid(tx: Transaction, principal: Principal) -> bool:
    with suppress(UnknownTokenError):
        return tx.tokens.get(principal.token_id).revoked_at is None
    return False
