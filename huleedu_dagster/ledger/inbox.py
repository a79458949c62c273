"""Which files of the inbox folder were taken in, so that a tick reads only what is new."""

import sqlalchemy as sa

from huleedu_dagster.ledger.rows import Rows
from huleedu_dagster.ledger.tables import inbox_files


class InboxRows(Rows):
    """The table of inbox files."""

    def signatures(self, batch_id: str) -> dict[str, str]:
        """Path and signature (size and times) of the files taken in."""
        query = sa.select(inbox_files.c.path, inbox_files.c.signature).where(
            inbox_files.c.batch_id == batch_id
        )
        return {row.path: row.signature for row in self.connection.execute(query)}

    def remember(self, batch_id: str, path: str, signature: str) -> None:
        """Note that a file was taken in as it stands."""
        values = {"batch_id": batch_id, "path": path, "signature": signature}
        if not self.insert_new(inbox_files, values):
            self.connection.execute(
                sa.update(inbox_files)
                .where(inbox_files.c.batch_id == batch_id, inbox_files.c.path == path)
                .values(signature=signature)
            )
