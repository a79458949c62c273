"""What each stage made of each essay, once per materialization key."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from huleedu_dagster.domain.outcomes import Code, Stage, StageOutcome
from huleedu_dagster.ledger.records import StageRecord
from huleedu_dagster.ledger.rows import Rows
from huleedu_dagster.ledger.tables import current_outcomes, stage_outcomes

_IDENTITY = ("batch_id", "slot", "stage", "materialization_key")


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

    def record(self, record: StageRecord) -> bool:
        """Store an outcome and make it the current one of its stage.

        An outcome that is stored already is left as it is, a transient one is replaced.

        Returns:
            Whether anything was written.
        """
        row = _row(record, self.now)
        written = self.insert_new(stage_outcomes, row) or self._replace_transient(row)
        return self._point(record) or written

    def keep(self, record: StageRecord) -> None:
        """Store an outcome that is not the current one, for the next attempt to begin with."""
        self.insert_new(stage_outcomes, _row(record, self.now))

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
        query = (
            sa.select(stage_outcomes)
            .where(stage_outcomes.c.batch_id == batch_id, stage_outcomes.c.slot == slot)
            .order_by(stage_outcomes.c.outcome_id)
        )
        return [_record(row) for row in self.connection.execute(query).mappings()]

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

    def _point(self, record: StageRecord) -> bool:
        table = stage_outcomes.c
        outcome_id = self.connection.execute(
            sa.select(table.outcome_id).where(
                *(table[name] == getattr(record, name) for name in _IDENTITY)
            )
        ).scalar_one()
        cell = {"batch_id": record.batch_id, "slot": record.slot, "stage": record.stage}
        if self.insert_new(current_outcomes, {**cell, "outcome_id": outcome_id}):
            return True
        statement = (
            sa.update(current_outcomes)
            .where(*(current_outcomes.c[name] == value for name, value in cell.items()))
            .where(current_outcomes.c.outcome_id != outcome_id)
            .values(outcome_id=outcome_id)
        )
        return self.connection.execute(statement).rowcount == 1


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
