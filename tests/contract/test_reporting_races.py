"""Something new about a batch while it is noted as reported, on every database."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from dagster import DagsterInstance, SensorDefinition, build_sensor_context

from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.pipeline.results import StoredResult, write_manifest
from huleedu_dagster.pipeline.views import BatchFacts
from huleedu_dagster.reports.batch import write_batch_report
from huleedu_dagster.resources.ledger import LedgerResource
from huleedu_dagster.sensors.batches import build_batch_sensor
from huleedu_dagster.settings import Settings
from huleedu_dagster.storage.port import BlobStore
from tests.support.workshop import GOOD, Workshop

_SECONDS = 1.0


def tick(shop: Workshop) -> None:
    """Evaluate the sensor of batches."""
    found: SensorDefinition = build_batch_sensor(Settings(home=shop.folder))
    with DagsterInstance.ephemeral() as instance:
        resources = {"ledger": LedgerResource(url="")}
        with build_sensor_context(instance=instance, resources=resources) as context:
            found.evaluate_tick(context)


def news(ledger: Ledger) -> None:
    """Note that something about the batch changed, as whoever records an outcome does."""
    with ledger.write() as tx:
        tx.batches.get("class-a", lock=True)
        tx.batches.touch("class-a")


def report(shop: Workshop) -> None:
    """Store the report once more."""
    write_batch_report(shop.ledger, shop.blobs, "class-a")


@pytest.mark.parametrize("note", [tick, report])
def test_a_batch_is_not_noted_as_reported_for_facts_that_changed_meanwhile(
    ledger: Ledger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    note: Callable[[Workshop], None],
) -> None:
    shop = Workshop(tmp_path, ledger=ledger)
    shop.register(expected=1)
    shop.receive("a.txt")
    shop.process_pending()
    shop.release()
    news(ledger)
    monkeypatch.setattr(LedgerResource, "open", lambda _self: ledger)
    of_batch = BatchFacts.read
    asked: list[Future[None]] = []

    with ThreadPoolExecutor(1) as pool:

        def read(tx: Transaction, batch_id: str, *, lock: bool = False) -> BatchFacts:
            found = of_batch(tx, batch_id, lock=lock) if lock else of_batch(tx, batch_id)
            if tx.connection.get_execution_options().get("huleedu_write") and not asked:
                asked.append(pool.submit(news, ledger))
                # As long as somebody who is kept off may be thought to try.
                wait(asked, _SECONDS)
            return found

        monkeypatch.setattr(BatchFacts, "read", read)
        note(shop)
        assert [it.result(60) for it in asked] == [None]
    monkeypatch.undo()
    assert shop.facts().batch.reported_fingerprint is None
    shop.release()
    assert shop.facts().batch.reported_fingerprint is not None


@pytest.mark.parametrize("write", [write_manifest, write_batch_report])
def test_what_is_stored_of_facts_that_are_so_no_longer_is_stored_once_more(
    ledger: Ledger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Ledger, BlobStore, str], StoredResult],
) -> None:
    shop = Workshop(tmp_path, ledger=ledger)
    shop.register(expected=1)
    shop.receive("a.txt")
    shop.process_pending()
    shop.release()
    put = shop.blobs.put
    others: list[int] = []

    def after_others(key: str, data: bytes) -> None:
        put(key, data)
        if not others:
            others.append(1)
            shop.receive("a.txt", GOOD + b" And of harbours.")
            shop.process_pending()
            others.append(shop.release().revision)

    monkeypatch.setattr(shop.blobs, "put", after_others)
    write(ledger, shop.blobs, "class-a")
    assert others == [1, 2]
    assert shop.facts().batch.reported_fingerprint is None
    assert shop.release().revision == 2
    assert shop.facts().batch.reported_fingerprint is not None
