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
        statement = self.insert(table).on_conflict_do_nothing().values(**values)
        return self.connection.execute(statement).rowcount == 1

    def insert_all_new(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> int:
        """Insert rows of the same columns, in order, but for those that are there already.

        Returns:
            How many are new.
        """
        statement = self.insert(table).on_conflict_do_nothing()
        if self.connection.dialect.name != "postgresql":
            return self.connection.execute(statement, rows).rowcount
        # Only with an answer to give, all rows are one statement; else each is one to wait for.
        answer = self.connection.execute(statement.returning(*table.primary_key), rows)
        return len(answer.all())

    def insert(self, table: sa.Table) -> Any:
        """An insert of this database that can be told what to do with rows that are there."""
        if self.connection.dialect.name == "postgresql":
            return postgresql.insert(table)
        return sqlite.insert(table)
