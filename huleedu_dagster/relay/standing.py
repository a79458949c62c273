"""Where every relay stands."""

from dataclasses import dataclass

from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.ledger.records import RelayDeadLetter


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one relay stands.

    Attributes:
        relay: Its name.
        position: Sequence number of the last event it is done with.
        behind: Events that are recorded behind it.
        dead_letters: Its open dead letters, in the order of events.
    """

    relay: str
    position: int
    behind: int
    dead_letters: tuple[RelayDeadLetter, ...]


def standings(ledger: Ledger) -> list[Standing]:
    """Every relay that ever delivered or gave up an event, by name.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The ledger cannot be read.
    """
    with ledger.read() as tx:
        positions, letters = tx.relays.positions(), tx.relays.open_letters()
    return [
        Standing(name, seq, behind, tuple(it for it in letters if it.relay == name))
        for name, seq, behind in positions
    ]
