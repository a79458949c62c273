"""Two senders at once: every file its place, no receipt without bytes."""

import random
import threading
import time
from pathlib import Path

import pytest

from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.pipeline.intake import Receipt, ReceiptStatus
from tests.support.ledger import events, row_counts
from tests.support.workshop import Workshop


def data_of(name: str) -> bytes:
    return f"the essay {name}".encode()


def send(shop: Workshop, names: list[str], seed: int, taken: list[Receipt]) -> None:
    chance = random.Random(seed)
    for name in names:
        time.sleep(chance.random() * 0.004)
        taken.append(shop.intake.receive("class-a", name, data_of(name)))


@pytest.mark.parametrize("seed", range(20))
def test_two_senders_fill_seven_slots_and_the_rest_is_excess(tmp_path: Path, seed: int) -> None:
    shop = Workshop(tmp_path)
    shop.register(expected=7)
    taken: list[list[Receipt]] = [[], []]
    names = [[f"{side}{number}.txt" for number in range(5)] for side in "ab"]
    threads = [
        threading.Thread(target=send, args=(shop, names[side], seed * 2 + side, taken[side]))
        for side in (0, 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    receipts = taken[0] + taken[1]
    assert sorted(it.slot for it in receipts if it.slot) == [f"e{n:03d}" for n in range(1, 8)]
    assert [it.status for it in receipts].count(ReceiptStatus.EXCESS) == 3
    assert len(events(shop.ledger, "excess_content")) == 3
    assert shop.facts().batch.closed_at is not None
    with shop.ledger.read() as tx:
        kept = {it.upload_id: it for it in tx.essays.uploads_of("class-a")}
    for receipt in receipts:
        upload = kept[receipt.upload_id]
        assert shop.blobs.get(upload.blob_key, receipt.sha256) == data_of(receipt.path)
    shop.ledger.close()


@pytest.mark.parametrize("seed", range(5))
def test_two_senders_of_the_same_files_make_each_essay_once(tmp_path: Path, seed: int) -> None:
    shop = Workshop(tmp_path)
    shop.register(expected=7)
    names = [f"{number}.txt" for number in range(5)]
    taken: list[list[Receipt]] = [[], []]
    threads = [
        threading.Thread(target=send, args=(shop, names, seed * 2 + side, taken[side]))
        for side in (0, 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    counts = row_counts(shop.ledger)
    assert (counts["uploads"], counts["essays"], counts["outbox"]) == (5, 5, 0)
    statuses = [it.status for it in taken[0] + taken[1]]
    assert statuses.count(ReceiptStatus.NEW_ESSAY) == 5
    assert statuses.count(ReceiptStatus.UNCHANGED) == 5
    with shop.ledger.read() as tx:
        for upload in tx.essays.uploads_of("class-a"):
            assert upload.sha256 == sha256_hex(data_of(upload.path))
            assert shop.blobs.get(upload.blob_key, upload.sha256)
    shop.ledger.close()
