"""What each stage made of each essay, once per materialization key."""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from huleedu_dagster.domain.outcomes import Code, Stage, StageOutcome
from huleedu_dagster.ledger.records import StageRecord, Upload
from huleedu_dagster.ledger.rows import Rows
from huleedu_dagster.ledger.tables import current_outcomes, stage_outcomes

_CELL = ("batch_id", "slot", "stage")
_IDENTITY = (*_CELL, "materialization_key")
_POINTER = (*_CELL, "outcome_id")
_IS_CURRENT = "is_current"


class OutcomeRows(Rows):
    """The tables of stage outcomes."""

    def under_key(self, batch_id: str, slot: str, stage: Stage, key: str) -> StageRecord | None:
        """The final outcome under a materialization key; a transient one does not count."""
        table = stage_outcomes.c
        query = sa.select(stage_outcomes).where(
            table.batch_id == batch_id,
            table.slot == slot,
            table.stage == stage,
            table.materialization_key == key,
            table.transient.is_(sa.false()),
        )
        row = self.connection.execute(query).mappings().one_or_none()
        return None if row is None else _record(row)

    def has(self, record: StageRecord) -> bool:
        """Whether there is a final outcome under the materialization key of this one."""
        key = record.materialization_key
        return self.under_key(record.batch_id, record.slot, record.stage, key) is not None

    def has_ended(self, upload: Upload, slot: str) -> bool:
        """Whether there is an outcome of the last stage of this version of an essay, of any key."""
        table = stage_outcomes.c
        found = sa.exists().where(
            table.batch_id == upload.batch_id,
            table.slot == slot,
            table.stage == Stage.SPELLCHECK_RESULT,
            table.upload_id == upload.upload_id,
        )
        return bool(self.connection.execute(sa.select(found)).scalar_one())

    def record(self, *records: StageRecord) -> bool:
        """Store outcomes of one slot and make each the current one of its stage.

        An outcome that is stored already is left as it is, a transient one is replaced.

        Returns:
            Whether anything was written.
        """
        if not records:
            return False
        rows = [_row(it, self.now) for it in records]
        written = self.insert_all_new(stage_outcomes, rows)
        if written < len(rows):
            written += sum(self._replace_transient(it) for it in rows)
        return self._point(records) or written > 0

    def keep(self, *records: StageRecord) -> None:
        """Store outcomes that are not the current ones, for the next attempt to begin with."""
        if records:
            self.insert_all_new(stage_outcomes, [_row(it, self.now) for it in records])

    def current(self, batch_id: str, slot: str | None = None) -> list[StageRecord]:
        """The current outcomes of a batch or of one slot, by slot and name of the stage."""
        query = (
            sa.select(stage_outcomes)
            .join(
                current_outcomes,
                current_outcomes.c.outcome_id == stage_outcomes.c.outcome_id,
            )
            .where(current_outcomes.c.batch_id == batch_id)
            .order_by(stage_outcomes.c.slot, stage_outcomes.c.stage)
        )
        if slot is not None:
            query = query.where(current_outcomes.c.slot == slot)
        return [_record(row) for row in self.connection.execute(query).mappings()]

    def history(self, batch_id: str, slot: str) -> list[StageRecord]:
        """Every outcome a slot ever had, the first first."""
        return [record for record, _ in self.known(batch_id, slot)]

    def known(self, batch_id: str, slot: str) -> list[tuple[StageRecord, bool]]:
        """Every outcome a slot ever had, the first first, and whether it is a current one."""
        is_current = current_outcomes.c.outcome_id.is_not(None).label(_IS_CURRENT)
        # By its cell, too: that is what there is an index of.
        pointer = (current_outcomes.c[name] == stage_outcomes.c[name] for name in _POINTER)
        query = (
            sa.select(stage_outcomes, is_current)
            .join(current_outcomes, sa.and_(*pointer), isouter=True)
            .where(stage_outcomes.c.batch_id == batch_id, stage_outcomes.c.slot == slot)
            .order_by(stage_outcomes.c.outcome_id)
        )
        rows = self.connection.execute(query).mappings()
        return [(_record(row), bool(row[_IS_CURRENT])) for row in rows]

    def blob_keys(self, batch_id: str) -> Iterable[str]:
        """The keys of all derived blobs that the outcomes of a batch point to."""
        query = sa.select(stage_outcomes.c.blob_key).where(
            stage_outcomes.c.batch_id == batch_id, stage_outcomes.c.blob_key.is_not(None)
        )
        return self.connection.execute(query).scalars().all()

    def _replace_transient(self, row: dict[str, Any]) -> bool:
        table = stage_outcomes.c
        statement = (
            sa.update(stage_outcomes)
            .where(*(table[name] == row[name] for name in _IDENTITY))
            .where(table.transient.is_(sa.true()))
            .values(**row)
        )
        return self.connection.execute(statement).rowcount == 1

    def _point(self, records: Sequence[StageRecord]) -> bool:
        """Make stored outcomes of one slot the current ones; returns whether any was another."""
        table = stage_outcomes.c
        of_records = sa.and_(
            table.batch_id == records[0].batch_id,
            table.slot == records[0].slot,
            sa.or_(
                *(
                    (table.stage == it.stage)
                    & (table.materialization_key == it.materialization_key)
                    for it in records
                )
            ),
        )
        columns = [table[name] for name in _POINTER]
        statement = self.insert(current_outcomes).from_select(
            [*_POINTER], sa.select(*columns).where(of_records)
        )
        found = statement.excluded.outcome_id
        statement = statement.on_conflict_do_update(
            index_elements=list(_CELL),
            set_={"outcome_id": found},
            where=current_outcomes.c.outcome_id != found,
        )
        return self.connection.execute(statement).rowcount > 0


def _row(record: StageRecord, now: Any) -> dict[str, Any]:
    names = (name for name in stage_outcomes.c.keys() if name != "outcome_id")  # noqa: SIM118
    row = {name: getattr(record, name) for name in names}
    return {**row, "details": dict(record.details), "recorded_at": now}


def _record(row: sa.RowMapping) -> StageRecord:
    values = {name: row[name] for name in stage_outcomes.c.keys() if name != "outcome_id"}  # noqa: SIM118
    values["stage"] = Stage(values["stage"])
    values["outcome"] = StageOutcome(values["outcome"])
    values["code"] = None if values["code"] is None else Code(values["code"])
    return StageRecord(**values)
