"""What all groups of rows share: a connection, a moment, and inserts that a repeat leaves alone."""

from collections.abc import Mapping
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
        if self.connection.dialect.name == "postgresql":
            statement: Any = postgresql.insert(table).values(**values).on_conflict_do_nothing()
        else:
            statement = sqlite.insert(table).values(**values).on_conflict_do_nothing()
        return self.connection.execute(statement).rowcount == 1
