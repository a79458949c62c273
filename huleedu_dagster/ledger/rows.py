"""What all groups of rows share: a connection, a moment, and inserts that a repeat leaves alone."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite


class Rows:
    """A group of tables seen through one open transaction."""

    def __init__(self, connection: sa.Connection, now: datetime) -> None:
        self.connection = connection
        self.now = now

    def insert_new(self, table: sa.Table, values: Mapping[str, Any]) -> bool:
        """Insert a row unless a unique constraint says that it is there already.

        Returns:
            Whether the row is new.
        """
        statement = self._insert_new(table).values(**values)
        return self.connection.execute(statement).rowcount == 1

    def insert_all_new(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows of the same columns, in order, but for those that are there already."""
        self.connection.execute(self._insert_new(table), rows)

    def _insert_new(self, table: sa.Table) -> Any:
        if self.connection.dialect.name == "postgresql":
            return postgresql.insert(table).on_conflict_do_nothing()
        return sqlite.insert(table).on_conflict_do_nothing()
