"""What the routes work with, made once at start and handed to the application."""

from dataclasses import dataclass, field

from huleedu_dagster.intake.limits import IntakeLimits
from huleedu_dagster.intake.local_sign_in import LocalSignIn
from huleedu_dagster.intake.sessions import Sessions
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.pipeline.intake import Intake
from huleedu_dagster.settings import Settings
from huleedu_dagster.spelling.engines import IndexEngine
from huleedu_dagster.storage.choose import open_store
from huleedu_dagster.storage.port import BlobStore


@dataclass(frozen=True, slots=True)
class Services:
    """An installation as the intake sees it.

    Attributes:
        languages: Languages (ISO 639-1) whose spelling can be checked.
        sessions: Browsers that are signed in.
        local: Signs the user of this computer in; `None` elsewhere than in embedded mode.
    """

    settings: Settings
    ledger: Ledger
    blobs: BlobStore
    intake: Intake
    languages: frozenset[str]
    limits: IntakeLimits = field(default_factory=IntakeLimits)
    sessions: Sessions = field(default_factory=Sessions.unkept)
    local: LocalSignIn | None = None

    @classmethod
    def of(cls, settings: Settings, *, embedded: bool = False) -> "Services":
        """Open an installation, its ledger's schema up to date.

        Args:
            settings: The installation.
            embedded: Whether it is one person's, on this computer.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
            OSError: The home cannot be written.
            ValueError: The key of the sessions is damaged.
        """
        settings.make_home()
        ledger = Ledger.of(settings)
        ledger.migrate()
        blobs = open_store(settings)
        return cls(
            settings=settings,
            ledger=ledger,
            blobs=blobs,
            intake=Intake(ledger, blobs, settings.max_slots),
            languages=IndexEngine(settings.spelling_cache, settings.dictionaries).languages,
            limits=IntakeLimits.of(settings),
            sessions=Sessions.of(settings),
            local=LocalSignIn.of(ledger, settings.token_file) if embedded else None,
        )
