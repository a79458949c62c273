"""What this process asks of Postgres, and how many rows the server reads to answer it."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

_ROWS = "SELECT sum(seq_tup_read) + sum(idx_tup_fetch) FROM pg_stat_user_tables"
_FLUSH = "SELECT pg_stat_force_next_flush()"


@dataclass(slots=True)
class Reading:
    """What was asked while it was looked at.

    Attributes:
        statements: Statements, in their order.
        rows: Rows of tables that the server read for them.
    """

    statements: list[str] = field(default_factory=list)
    rows: int = 0


@contextmanager
def reading(urls: Sequence[str]) -> Iterator[Reading]:
    """Look at what this process asks of these databases.

    What was asked shortly before, unless somebody looked at that as well, may be counted with it:
    the server waits a while until it counts what it did for a connection.

    Args:
        urls: Databases on Postgres that nobody else asks meanwhile.
    """
    found = Reading()

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        found.statements.append(statement)

    with ExitStack() as stack:
        engines = [sa.create_engine(url, poolclass=sa.pool.NullPool) for url in urls]
        before = sum(map(_rows, engines))
        _listen(stack, sa.Engine, "before_cursor_execute", note)
        _listen(stack, sa.pool.Pool, "checkin", _tell)
        yield found
    found.rows = sum(map(_rows, engines)) - before


def _listen(stack: ExitStack, target: Any, name: str, function: Any) -> None:
    sa.event.listen(target, name, function)
    stack.callback(sa.event.remove, target, name, function)


def _tell(connection: Any, _record: object) -> None:
    """Let the server count at once what it did for a connection; else it may take seconds."""
    if connection is None:
        return
    with connection.cursor() as cursor:
        cursor.execute(_FLUSH)
    connection.commit()


def _rows(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return int(connection.exec_driver_sql(_ROWS).scalar_one())
