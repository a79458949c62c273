"""What the audit of a day costs: as much as the day holds, however much the ledger does."""

import io
import tracemalloc
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from huleedu_dagster.domain.events import SpellCheckCompletedV1
from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.ledger.audit import Outcome
from huleedu_dagster.ledger.audit_facts import Days
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.ledger.tables import (
    actions,
    batches,
    current_outcomes,
    essays,
    outbox,
    releases,
    stage_outcomes,
    uploads,
)
from huleedu_dagster.reports.audit_content import AuditContent
from huleedu_dagster.reports.audit_tables import EssayTable
from tests.contract.test_metrics_cost import analyse, plans, read_as_a_whole
from tests.support.fakes import START
from tests.support.ledger import new_ledger

ESSAYS = 100_000
_PER_BATCH = 50
_BATCHES_A_DAY = 20
_CHUNK = 100
_DAY = 5
_STAGES = (Stage.SPELLCHECK_RESULT,)
_MANY = 20_000
_FILLED = (
    *(batches, uploads, essays, stage_outcomes, current_outcomes, outbox),
    *(releases, actions),
)
_OF_ESSAYS = {"essays", "outbox", "stage_outcomes", "uploads"}


def fill(ledger: Ledger, count: int, *, a_day: int = _BATCHES_A_DAY) -> None:
    """Batches that are done, so many a day."""
    numbers = range(count // _PER_BATCH)
    with ledger.write() as tx:
        for start in range(0, len(numbers), _CHUNK):
            rows: dict[str, list[dict[str, Any]]] = {}
            for number in numbers[start : start + _CHUNK]:
                for table, row in _batch(number, START + timedelta(days=number // a_day)):
                    rows.setdefault(table, []).append(row)
            for it in _FILLED:
                tx.connection.execute(sa.insert(it), rows[it.name])


def _batch(number: int, at: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    batch = {"batch_id": f"b{number}"}
    common = {"correlation_id": "0" * 36}
    yield (
        "batches",
        {
            **batch,
            **common,
            "registered_at": at,
            "expected_essay_count": _PER_BATCH,
            "source": "cli",
            **dict.fromkeys(("course", "class_name", "instructions"), ""),
            "settings": {},
            "settings_version": "v",
            "closed_at": at,
            "closed_by": "full",
        },
    )
    yield (
        "releases",
        {
            **batch,
            "revision": 1,
            "fingerprint": "0" * 64,
            "manifest_blob": "x",
            "released_at": at + timedelta(hours=1),
        },
    )
    for action in ("registered", "received"):
        yield (
            "actions",
            {
                **batch,
                "acted_at": at,
                "actor_kind": "system",
                "actor_id": "pipeline",
                "action": action,
                "amount": _PER_BATCH,
            },
        )
    for place in range(_PER_BATCH):
        yield from _essay(batch, common, number * _PER_BATCH + place, place, at)


def _essay(
    batch: dict[str, str], common: dict[str, str], number: int, place: int, at: datetime
) -> Iterator[tuple[str, dict[str, Any]]]:
    cell = {**batch, "slot": f"e{place + 1:03d}"}
    moment = at + timedelta(seconds=place)
    upload = f"{number:032x}"
    path = {"path": f"{place}.txt", "upload_id": upload}
    file = {"size": 20_000, "blob_key": f"raw/{upload}", "sha256": f"{number:064x}"}
    of_upload = {"version": 1, "status": "assigned", "received_at": moment}
    yield "uploads", {**cell, **common, **path, **file, **of_upload}
    yield "essays", {**cell, **path, "pending": False, "due": False, "outcome": "accepted"}
    for at_stage, stage in enumerate(_STAGES):
        outcome_id = number * len(_STAGES) + at_stage + 1
        of_stage = {**cell, "stage": stage.value, "outcome_id": outcome_id}
        yield "current_outcomes", of_stage
        yield (
            "stage_outcomes",
            {
                **of_stage,
                "materialization_key": f"{number:064x}",
                "upload_id": upload,
                "code_version": "v",
                "outcome": "accepted",
                "transient": False,
                "data_version": "0" * 64,
                "details": {"words": 100, "misspellings": 2},
                "duration_ms": 3,
                "recorded_at": moment + timedelta(minutes=1),
            },
        )
        data = {"raw_file_storage_id": f"raw/{upload}", "word_count": 100, "misspelling_count": 2}
        kind = SpellCheckCompletedV1.event_type if at_stage == 0 else f"huleedu.other.{at_stage}"
        yield (
            "outbox",
            {
                **cell,
                "event_id": f"{outcome_id:036x}",
                "event_type": kind,
                "data_hash": f"{outcome_id:064x}",
                "event_timestamp": moment + timedelta(minutes=1),
                "envelope": {"data": data},
            },
        )


def ask_everything(tx: Transaction) -> None:
    """Every question that a report and its checks ask of the ledger."""
    days = Days.one((START + timedelta(days=_DAY)).date())
    content = AuditContent.read(tx, days)
    tx.audit.recount(days)
    tx.audit.batches_touched(days.first)
    assert content.totals.keys()


def test_sqlite_reads_no_table_as_a_whole(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path / "ledger.db")
    fill(ledger, 500, a_day=1)
    steps = plans(ledger, ask_everything)
    ledger.close()
    assert len(steps) >= 30
    assert read_as_a_whole(steps) == set(), steps


def table_of(count: int) -> bytes:
    """A table of so many essays."""
    table = EssayTable()
    later = START + timedelta(seconds=1)
    for number in range(count):
        table.add(Outcome("class-a", "e001", number, START, later, None, number, 2, first=True))
    return table.parquet()


def test_the_table_of_very_many_essays_needs_little_memory() -> None:
    # What the libraries keep of their own is not of the table.
    table_of(1)
    tracemalloc.start()
    try:
        data = table_of(_MANY)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # All rows at once would be more than 20 MB.
    assert peak < 8_000_000, peak
    assert pq.ParquetFile(io.BytesIO(data)).metadata.num_rows == _MANY


@pytest.mark.slow
def test_of_100_000_essays_a_report_reads_those_of_its_day(ledger: Ledger) -> None:
    fill(ledger, ESSAYS)
    analyse(ledger)
    with ledger.read() as tx:
        content = AuditContent.read(tx, Days.one((START + timedelta(days=_DAY)).date()))
    assert content.totals["accepted"] == _BATCHES_A_DAY * _PER_BATCH
    assert content.totals["received"] == _BATCHES_A_DAY * _PER_BATCH
    steps = plans(ledger, ask_everything)
    # Of a few thousand rows, and of none, Postgres rightly reads all.
    assert read_as_a_whole(steps, _OF_ESSAYS) == set(), steps
