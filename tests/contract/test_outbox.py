"""What every ledger promises about the order of events, with several writers at once."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from huleedu_dagster.domain.events import ExcessContentProvisionedV1
from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.relay.reading import recorded_after
from tests.contract.test_ledger import registration
from tests.support.ledger import database
from tests.support.waiting import wait_for

WRITERS = 4
WRITES = 12


def publish(tx: Transaction, upload_id: str) -> None:
    event = ExcessContentProvisionedV1(
        batch_id="a", upload_id=upload_id, raw_file_storage_id="r", reason=Code.BATCH_FULL
    )
    tx.outbox.publish(event, correlation_id="0" * 36, batch_id="a")


def uploads(ledger: Ledger, after: int = 0) -> list[str]:
    return [it["data"]["upload_id"] for _, it in recorded_after(ledger, after, limit=1_000)]


def write_now_and_then(ledger: Ledger, writer: int, seed: int) -> None:
    """Transactions with an event each, of which some roll back and some say what is known."""
    chance = random.Random(seed * WRITERS + writer)
    for number in range(WRITES):
        fails = chance.random() < 0.2
        known = chance.random() < 0.2
        try:
            with ledger.write() as tx:
                publish(tx, "known" if known else f"{writer}-{number}")
                time.sleep(chance.random() * 0.003)
                if fails:
                    raise InterruptedError
        except InterruptedError:
            continue


@pytest.mark.parametrize("seed", range(4))
def test_a_reader_that_goes_on_from_the_last_number_misses_nothing(
    ledger: Ledger, seed: int
) -> None:
    """Two writers at once, whatever the order in which they began, asked, and ended."""
    read: list[str] = []
    position = 0
    with ThreadPoolExecutor(WRITERS) as threads:
        writers = [
            threads.submit(write_now_and_then, ledger, number, seed) for number in range(WRITERS)
        ]
        while True:
            over = all(writer.done() for writer in writers)
            for number, envelope in recorded_after(ledger, position):
                assert number > position
                position = number
                read.append(envelope["data"]["upload_id"])
            if over:
                break
        for writer in writers:
            writer.result()
    assert read == uploads(ledger)
    assert len(read) == len(set(read)) > WRITES


def test_events_of_one_transaction_keep_their_order(ledger: Ledger) -> None:
    names = [f"{number:04d}" for number in range(700, 0, -1)]
    with ledger.write() as tx:
        for name in (*names, names[0]):
            publish(tx, name)
    assert uploads(ledger) == names


def test_an_event_is_not_found_before_its_transaction_ends(ledger: Ledger) -> None:
    with ledger.write() as tx:
        publish(tx, "one")
        assert list(tx.outbox.envelopes()) == []
    assert uploads(ledger) == ["one"]


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger in Postgres, where writers do not wait for each other."""
    with database("postgres", tmp_path) as url:
        found = Ledger(url)
        yield found
        found.close()


def wait_for_a_waiting_lock(ledger: Ledger) -> None:
    query = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'")
    wait_for(lambda: bool(ledger_scalar(ledger, query)), 60)


def ledger_scalar(ledger: Ledger, query: sa.TextClause) -> object:
    with ledger.read() as tx:
        return tx.connection.execute(query).scalar()


def test_who_writes_second_is_not_seen_before_the_first(postgres: Ledger) -> None:
    """The first has its numbers and is about to commit when the second comes."""
    go_on = threading.Event()
    first_commits = threading.Event()

    def hold(_connection: sa.Connection) -> None:
        if not first_commits.is_set():
            first_commits.set()
            assert go_on.wait(60)

    def write(upload_id: str) -> None:
        with postgres.write() as tx:
            publish(tx, upload_id)

    sa.event.listen(postgres._engine, "commit", hold)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(write, "first")
        assert first_commits.wait(60)
        second = threads.submit(write, "second")
        wait_for_a_waiting_lock(postgres)
        assert uploads(postgres) == []
        go_on.set()
        first.result(60)
        second.result(60)
    assert uploads(postgres) == ["first", "second"]


def test_who_published_first_waits_for_nobody_whose_batch_it_needs(postgres: Ledger) -> None:
    """A lock taken while publishing would be half of a deadlock."""
    with postgres.write() as tx:
        tx.batches.register(registration())
    published = threading.Event()
    locked = threading.Event()

    def publish_and_lock() -> None:
        with postgres.write() as tx:
            publish(tx, "one")
            published.set()
            assert locked.wait(60)
            tx.batches.get("a", lock=True)

    def lock_and_publish() -> None:
        with postgres.write() as tx:
            tx.batches.get("a", lock=True)
            locked.set()
            assert published.wait(60)
            publish(tx, "two")

    with ThreadPoolExecutor(2) as threads:
        for ended in [threads.submit(publish_and_lock), threads.submit(lock_and_publish)]:
            ended.result(60)
    assert uploads(postgres) == ["two", "one"]


def test_a_lock_in_postgres_is_not_waited_for_without_end(postgres: Ledger) -> None:
    assert ledger_scalar(postgres, sa.text("SHOW lock_timeout")) == "30s"
