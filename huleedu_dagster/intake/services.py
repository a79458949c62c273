"""What the routes work with, made once at start and handed to the application."""

from dataclasses import dataclass, field

from huleedu_dagster.intake.limits import IntakeLimits
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.pipeline.intake import Intake
from huleedu_dagster.settings import Settings
from huleedu_dagster.spelling.engines import IndexEngine
from huleedu_dagster.storage.local import LocalBlobStore
from huleedu_dagster.storage.port import BlobStore


@dataclass(frozen=True, slots=True)
class Services:
    """An installation as the intake sees it.

    Attributes:
        languages: Languages (ISO 639-1) whose spelling can be checked.
    """

    settings: Settings
    ledger: Ledger
    blobs: BlobStore
    intake: Intake
    languages: frozenset[str]
    limits: IntakeLimits = field(default_factory=IntakeLimits)

    @classmethod
    def of(cls, settings: Settings) -> "Services":
        """Open an installation, its ledger's schema up to date.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
        """
        ledger = Ledger(settings.resolved_ledger_url)
        ledger.migrate()
        blobs = LocalBlobStore(settings.blob_folder)
        return cls(
            settings=settings,
            ledger=ledger,
            blobs=blobs,
            intake=Intake(ledger, blobs, settings.max_slots),
            languages=IndexEngine(settings.spelling_cache, settings.dictionaries).languages,
            limits=IntakeLimits.of(settings),
        )
