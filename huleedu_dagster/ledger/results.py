"""Results of whole batches: waivers, manifests, reports and releases."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from huleedu_dagster.domain.ids import ContentType
from huleedu_dagster.ledger.records import Release, Waiver
from huleedu_dagster.ledger.rows import Rows
from huleedu_dagster.ledger.tables import batch_results, releases, waivers

_TICK = timedelta(microseconds=1)


class ResultRows(Rows):
    """The tables of waivers, results and releases."""

    def waive(self, batch_id: str, slot: str, reason: str) -> bool:
        """Record that an operator goes on without a slot.

        Returns:
            Whether it is news.
        """
        values = {"batch_id": batch_id, "slot": slot, "reason": reason, "waived_at": self.now}
        if not self.insert_new(waivers, values):
            self.connection.execute(
                sa.update(waivers)
                .where(waivers.c.batch_id == batch_id, waivers.c.slot == slot)
                .values(reason=reason, waived_at=self.now)
            )
            return False
        return True

    def waivers(self, batch_id: str) -> list[Waiver]:
        """The waivers of a batch, by slot."""
        query = sa.select(waivers).where(waivers.c.batch_id == batch_id).order_by(waivers.c.slot)
        return [Waiver(**row) for row in self.connection.execute(query).mappings()]

    def record(self, batch_id: str, kind: ContentType, fingerprint: str, blob_key: str) -> bool:
        """Note where a result of the batch in the state of `fingerprint` is stored: the latest one.

        Returns:
            Whether it is new.
        """
        latest = self._latest(batch_id, kind)
        # A clock that stands still or was set back must not change which is the latest.
        now = self.now if latest is None else max(self.now, latest.recorded_at + _TICK)
        values = {
            "batch_id": batch_id,
            "kind": kind,
            "fingerprint": fingerprint,
            "blob_key": blob_key,
            "recorded_at": now,
        }
        if self.insert_new(batch_results, values):
            return True
        known = self.blob_of(batch_id, kind, fingerprint)
        if known != blob_key or latest is None or latest.blob_key != blob_key:
            # The facts are again what they were before, or other code tells of the same facts.
            self.connection.execute(
                sa.update(batch_results)
                .where(
                    batch_results.c.batch_id == batch_id,
                    batch_results.c.kind == kind,
                    batch_results.c.fingerprint == fingerprint,
                )
                .values(blob_key=blob_key, recorded_at=now)
            )
        return False

    def blob_of(self, batch_id: str, kind: ContentType, fingerprint: str) -> str | None:
        """Where a result of that state is stored, `None` if it was not made."""
        query = sa.select(batch_results.c.blob_key).where(
            batch_results.c.batch_id == batch_id,
            batch_results.c.kind == kind,
            batch_results.c.fingerprint == fingerprint,
        )
        return self.connection.execute(query).scalar_one_or_none()

    def latest_blob(self, batch_id: str, kind: ContentType) -> str | None:
        """Where the latest result of a kind is stored, `None` if there is none."""
        latest = self._latest(batch_id, kind)
        return None if latest is None else latest.blob_key

    def is_latest(self, batch_id: str, kind: ContentType, fingerprint: str) -> bool:
        """Whether the latest result of a kind is that of the batch in this state."""
        blob = self.blob_of(batch_id, kind, fingerprint)
        return blob is not None and blob == self.latest_blob(batch_id, kind)

    def latest_release(self, batch_id: str) -> Release | None:
        """The last released revision of a batch."""
        query = (
            sa.select(releases)
            .where(releases.c.batch_id == batch_id)
            .order_by(releases.c.revision.desc())
            .limit(1)
        )
        row = self.connection.execute(query).mappings().one_or_none()
        return None if row is None else Release(**row)

    def release(self, batch_id: str, revision: int, fingerprint: str, manifest_blob: str) -> bool:
        """Record a released revision.

        Returns:
            Whether it is new.
        """
        values = {
            "batch_id": batch_id,
            "revision": revision,
            "fingerprint": fingerprint,
            "manifest_blob": manifest_blob,
            "released_at": self.now,
        }
        return self.insert_new(releases, values)

    def _latest(self, batch_id: str, kind: ContentType) -> sa.Row[tuple[str, datetime]] | None:
        query = (
            sa.select(batch_results.c.blob_key, batch_results.c.recorded_at)
            .where(batch_results.c.batch_id == batch_id, batch_results.c.kind == kind)
            .order_by(batch_results.c.recorded_at.desc())
            .limit(1)
        )
        return self.connection.execute(query).one_or_none()
