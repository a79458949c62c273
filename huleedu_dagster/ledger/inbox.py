"""Which files of the inboxes were looked into, so that a tick reads only what is new.

A file's name in here is its path inside its batch, after the mark of the inbox it is in.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from huleedu_dagster.ledger.rows import Rows
from huleedu_dagster.ledger.tables import batches, inbox_files

_NAMES_AT_ONCE = 500


class InboxRows(Rows):
    """The table of inbox files."""

    def signatures(self, batch_id: str) -> dict[str, str]:
        """Name and signature of the files that were looked into."""
        query = sa.select(inbox_files.c.path, inbox_files.c.signature).where(
            inbox_files.c.batch_id == batch_id
        )
        return {row.path: row.signature for row in self.connection.execute(query)}

    def remember(self, batch_id: str, path: str, signature: str) -> None:
        """Note that a file was looked into as it stands."""
        values = {"batch_id": batch_id, "path": path, "signature": signature}
        if not self.insert_new(inbox_files, values):
            self.connection.execute(
                sa.update(inbox_files)
                .where(inbox_files.c.batch_id == batch_id, inbox_files.c.path == path)
                .values(signature=signature)
            )

    def keep_open(self, mark: str, *, others: Sequence[str] = ()) -> None:
        """Let the quiet time of open batches begin now, as far as it closes them.

        Args:
            mark: Of the inbox that they have files in.
            others: Marks of the other inboxes that begin like this one, which may be empty.
        """
        path = inbox_files.c.path
        has_files = sa.exists().where(
            inbox_files.c.batch_id == batches.c.batch_id,
            path.startswith(mark),
            *(~path.startswith(it) for it in others),
        )
        self._not_quiet(has_files)

    def keep_batch_open(self, batch_id: str) -> None:
        """Let the quiet time of one batch begin now, as far as it closes it."""
        self._not_quiet(batches.c.batch_id == batch_id)

    def _not_quiet(self, which: sa.ColumnElement[bool]) -> None:
        self.connection.execute(
            sa.update(batches)
            .where(batches.c.closed_at.is_(None), batches.c.source == "inbox", which)
            .values(last_received_at=self.now)
        )

    def closed_among(self, batch_ids: Sequence[str]) -> set[str]:
        """Those of these batches that are closed."""
        closed: set[str] = set()
        for first in range(0, len(batch_ids), _NAMES_AT_ONCE):
            query = sa.select(batches.c.batch_id).where(
                batches.c.batch_id.in_(batch_ids[first : first + _NAMES_AT_ONCE]),
                batches.c.closed_at.is_not(None),
            )
            closed.update(self.connection.execute(query).scalars())
        return closed
