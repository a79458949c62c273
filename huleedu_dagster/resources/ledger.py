"""The ledger as a Dagster resource."""

from functools import cache

from dagster import ConfigurableResource

from huleedu_dagster.ledger.ledger import Ledger


class LedgerResource(ConfigurableResource[Ledger]):
    """Gives the ledger of this installation.

    Attributes:
        url: SQLAlchemy URL of SQLite or Postgres.
    """

    url: str

    def open(self) -> Ledger:
        """The ledger, with its schema up to date; one for all ticks and runs of a process.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database cannot be reached.
        """
        return _open(self.url)


@cache
def _open(url: str) -> Ledger:
    ledger = Ledger(url)
    ledger.migrate()
    return ledger
