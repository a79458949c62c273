"""The ledger as a Dagster resource."""

from functools import cache
from typing import Self

from dagster import ConfigurableResource
from pydantic import Field

from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.settings import Settings


class LedgerResource(ConfigurableResource[Ledger]):
    """Gives the ledger of this installation: batches, essays, outcomes, events, dead letters."""

    url: str = Field(
        description="SQLAlchemy URL of a ledger in the home folder; empty where the settings name "
        "another."
    )

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The resource of an installation."""
        # Dagster shows and stores configurations; passwords stay in the environment.
        return cls(url="" if settings.ledger_url else settings.resolved_ledger_url)

    def open(self) -> Ledger:
        """The ledger, with its schema up to date; one for all ticks and runs of a process.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database cannot be reached.
        """
        return _open(self.url or Settings().resolved_ledger_url)


@cache
def _open(url: str) -> Ledger:
    ledger = Ledger(url, connections=Settings().ledger_connections)
    ledger.migrate()
    return ledger
