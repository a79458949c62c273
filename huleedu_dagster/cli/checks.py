"""What `huleedu doctor` finds: one value for each thing it looked at."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        name: What was looked at.
        ok: Whether it is well.
        found: What was found, and what to do when it is not well.
    """

    name: str
    ok: bool
    found: str


def guarded(name: str, examine: Callable[[], Check]) -> Check:
    """What `examine` finds; a fault of the system or of the ledger is a finding, too."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return examine()
    except OSError as error:
        return Check(name, ok=False, found=f"cannot be read: {error.strerror}")
    except SQLAlchemyError as error:
        return Check(name, ok=False, found=f"cannot be reached ({type(error).__name__})")
