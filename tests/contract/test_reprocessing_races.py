"""Asking for essays again while a run ends, on every database."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from huleedu_dagster.ledger.essays import EssayRows
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.ledger.records import Essay
from huleedu_dagster.pipeline.reprocessing import reprocess
from tests.support.workshop import Workshop

_SECONDS = 3.0


def test_a_run_that_ends_while_its_batch_is_asked_for_again_is_no_deadlock(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Workshop(tmp_path, ledger=ledger)
    shop.register(expected=2)
    for name in ("a.txt", "b.txt"):
        shop.receive(name)
    shop.process_pending()
    reprocess(ledger, "class-a", ["e002"])
    essay = shop.essay("e002")
    ended, asked = threading.Event(), threading.Event()
    end, ask = EssayRows.end_reprocessing, EssayRows.ask_again

    def end_slowly(rows: EssayRows, it: Essay) -> None:
        end(rows, it)
        ended.set()
        asked.wait(_SECONDS)

    def ask_and_tell(rows: EssayRows, batch_id: str, slot: str) -> None:
        ask(rows, batch_id, slot)
        asked.set()

    monkeypatch.setattr(EssayRows, "end_reprocessing", end_slowly)
    monkeypatch.setattr(EssayRows, "ask_again", ask_and_tell)
    with ThreadPoolExecutor(2) as pool:
        told = [shop.pipeline.stored(it) for it in shop.facts().essays]
        slots = ["e001", "e002"]
        run = pool.submit(shop.pipeline.mark_shown, "class-a", told, slots, [essay])
        assert ended.wait(60)
        person = pool.submit(reprocess, ledger, "class-a")
        run.result(timeout=60)
        assert person.result(timeout=60) == ("e001", "e002")
    assert [it.reprocess is not None for it in shop.facts().essays] == [True, True]
