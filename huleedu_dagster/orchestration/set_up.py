"""`huleedu set-up`: databases and buckets of an installation, made once and harmless when repeated.

Servers may still be starting: what cannot be reached is tried again for a while, and told at once.
So is a database that refuses, since its server does that too while it starts; an S3 server that
refuses is not.
"""

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import OperationalError

from huleedu_dagster.orchestration.databases import (
    UnreachableError,
    check_content,
    check_names,
    explained,
    making,
)
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.settings import Settings

if TYPE_CHECKING:
    from dagster import DagsterInstance

_PAUSE_SECONDS = 0.5
_NOT_THERE_YET = frozenset({errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.EIO, errno.EPROTO})
_Value = TypeVar("_Value")


@dataclass(slots=True)
class SetUp:
    """Sets an installation up.

    Attributes:
        settings: The installation.
        tell: Is told in a line what was done, and what is waited for.
        wait: Seconds to wait for servers in all.
    """

    settings: Settings
    tell: Callable[[str], None]
    wait: float
    _until: float = field(default=0.0, init=False)

    def run(self) -> None:
        """Make what is missing: buckets, the ledger's tables, Dagster's tables.

        Raises:
            DatabaseError: A database cannot be used, or one holds what it must not.
            OSError: The S3 server or the home cannot be used.
            UnknownRevisionError: The ledger's database is another program's or a newer version's.
            TablesInUseError: The ledger's tables cannot be migrated while others work on them.
            sqlalchemy.exc.SQLAlchemyError: The ledger cannot be migrated.
        """
        self._until = time.monotonic() + self.wait
        check_names(self.settings)
        self.settings.make_home()
        self._buckets()
        self._patiently(lambda: check_content(self.settings))
        self._ledger()
        # Again: two empty databases may be one.
        check_content(self.settings)
        self._dagster()

    def _buckets(self) -> None:
        if not self.settings.s3_endpoint:
            return
        from huleedu_dagster.storage.buckets import make_buckets

        for name, made in self._patiently(lambda: make_buckets(self.settings)).items():
            self.tell(f"bucket {name}: {'made' if made else 'there already'}")

    def _ledger(self) -> None:
        from huleedu_dagster.ledger.ledger import Ledger

        ledger = Ledger.of(self.settings)
        try:
            before = self._patiently(ledger.schema_revision)
            ledger.migrate()
            after = ledger.schema_revision()
        finally:
            ledger.close()
        how = "there already" if before == after else f"brought there from {before or 'nothing'}"
        self.tell(f"ledger: revision {after}, {how}")

    def _dagster(self) -> None:
        home = DagsterHome(self.settings)
        made = home.make_tables()
        # One process at a time, and each looks anew: two migrations at once spoil the tables.
        with home.instance() as instance, making(self.settings):
            migrated = _upgrade(instance)
        how = "made" if made else "migrated" if migrated else "there already"
        self.tell(f"Dagster's tables: {how}")

    def _patiently(self, call: Callable[[], _Value]) -> _Value:
        told = False
        while True:
            try:
                return call()
            except (UnreachableError, OperationalError, OSError) as error:
                is_for_now = not isinstance(error, OSError) or error.errno in _NOT_THERE_YET
                if not is_for_now or time.monotonic() > self._until:
                    raise
                if not told:
                    self.tell(f"waiting: {explained(error)}")
                    told = True
                time.sleep(_PAUSE_SECONDS)


def _upgrade(instance: "DagsterInstance") -> bool:
    """Bring the tables of an older Dagster up to date; whether there was something to do."""
    found, newest = instance.run_storage.alembic_version() or (None, None)
    if found == newest:
        return False
    instance.upgrade()
    return True
