"""The audit as tables for analysts: batches as CSV and parquet, essays as parquet.

Equal content gives equal bytes: the schemas are written down here, and no library's own notes
about a table go into the file. Essays are named by batch and slot; of files there is no name.
"""

import io
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from huleedu_dagster.ledger.audit import Outcome
from huleedu_dagster.ledger.audit_facts import fact_names
from huleedu_dagster.reports.audit_content import NOW, AuditContent, moment_of
from huleedu_dagster.reports.figures import per_hundred

if TYPE_CHECKING:
    import pyarrow as pa

_CHUNK = 2_000
_TEXTS_NOW = {"status"}


def batches_csv(content: AuditContent) -> bytes:
    """One line for each batch; moments in ISO 8601, in UTC."""
    import pandas as pd

    names = _names(content)
    rows = ([_as_text(row[name]) for name in names] for row in _rows(content))
    # Of objects, or a column of counts with a gap would become one of floats.
    frame = pd.DataFrame(rows, columns=names, dtype=object)
    return str(frame.to_csv(index=False, lineterminator="\n")).encode()


def batches_parquet(content: AuditContent) -> bytes:
    """The same table with types: moments in UTC, counts as int64, rates and times as doubles."""
    import pyarrow as pa

    table = pa.Table.from_pylist(list(_rows(content)), schema=_batch_schema(content))
    return _parquet(table.schema, iter(table.to_batches()))


class EssayTable:
    """A table that grows essay by essay, and is packed on the way: a day may have very many."""

    def __init__(self) -> None:
        import pyarrow.parquet as pq

        self._schema = _essay_schema()
        self._out = io.BytesIO()
        self._writer = pq.ParquetWriter(self._out, self._schema)
        self._rows: list[dict[str, Any]] = []

    def add(self, outcome: Outcome) -> None:
        """Add what became of an essay."""
        self._rows.append(
            {
                "batch_id": outcome.batch_id,
                "slot": outcome.slot,
                "version": outcome.version,
                "received_at": outcome.received_at,
                "outcome_at": outcome.recorded_at,
                "outcome": "accepted" if outcome.code is None else "rejected",
                "code": outcome.code,
                "words": outcome.words,
                "misspellings": outcome.misspellings,
                "misspellings_per_100_words": per_hundred(outcome.misspellings, outcome.words),
                "seconds_to_outcome": outcome.seconds,
                "first": outcome.first,
            }
        )
        if len(self._rows) == _CHUNK:
            self._pack()

    def parquet(self) -> bytes:
        """The whole table; nothing can be added any more."""
        self._pack()
        self._writer.close()
        return self._out.getvalue()

    def _pack(self) -> None:
        import pyarrow as pa

        self._writer.write_batch(pa.RecordBatch.from_pylist(self._rows, schema=self._schema))
        self._rows.clear()


def _rows(content: AuditContent) -> Iterator[dict[str, Any]]:
    for it in content.batches:
        yield {
            "first_day": _midnight(content.days.first),
            "last_day": _midnight(content.days.last),
            "batch_id": it.batch_id,
            "registered_at": it.registered_at,
            **it.counts,
            "misspellings_per_100_words": it.rate,
            "completed_at": it.completed_at,
            "seconds_from_registration": it.seconds_from_registration,
            "seconds_from_last_file": it.seconds_from_last_file,
            **{f"now_{name}": it.now[name] for name in NOW},
        }


def _names(content: AuditContent) -> list[str]:
    return [
        *("first_day", "last_day", "batch_id", "registered_at"),
        *fact_names(content.days),
        *("misspellings_per_100_words", "completed_at"),
        *("seconds_from_registration", "seconds_from_last_file"),
        *(f"now_{name}" for name in NOW),
    ]


def _batch_schema(content: AuditContent) -> "pa.Schema":
    import pyarrow as pa

    other = {
        **dict.fromkeys(("first_day", "last_day", "registered_at", "completed_at"), _moment()),
        **dict.fromkeys(("batch_id", *(f"now_{name}" for name in _TEXTS_NOW)), pa.string()),
        **dict.fromkeys(("misspellings_per_100_words",), pa.float64()),
        **dict.fromkeys(("seconds_from_registration", "seconds_from_last_file"), pa.float64()),
    }
    return pa.schema([(name, other.get(name, pa.int64())) for name in _names(content)])


def _essay_schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema(
        [
            ("batch_id", pa.string()),
            ("slot", pa.string()),
            ("version", pa.int64()),
            ("received_at", _moment()),
            ("outcome_at", _moment()),
            ("outcome", pa.string()),
            ("code", pa.string()),
            ("words", pa.int64()),
            ("misspellings", pa.int64()),
            ("misspellings_per_100_words", pa.float64()),
            ("seconds_to_outcome", pa.float64()),
            ("first", pa.bool_()),
        ]
    )


def _moment() -> "pa.DataType":
    import pyarrow as pa

    return pa.timestamp("us", tz="UTC")


def _parquet(schema: "pa.Schema", batches: "Iterator[pa.RecordBatch]") -> bytes:
    import pyarrow.parquet as pq

    out = io.BytesIO()
    with pq.ParquetWriter(out, schema) as writer:
        for it in batches:
            writer.write_batch(it)
    return out.getvalue()


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _as_text(value: Any) -> Any:
    return moment_of(value) if isinstance(value, datetime) else value
