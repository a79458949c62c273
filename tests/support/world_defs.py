"""The code location of the tests: the real definitions over a world's stores."""

import warnings
from typing import Any

from dagster import Definitions, definitions
from dagster._utils.warnings import PreviewWarning

from huleedu_dagster.definitions import build_defs
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.resources.blobs import BlobStoreResource
from huleedu_dagster.resources.ledger import LedgerResource
from huleedu_dagster.resources.speller import SpellerResource
from huleedu_dagster.settings import Settings
from huleedu_dagster.spelling.port import Speller
from huleedu_dagster.storage.port import BlobStore
from tests.support.fakes import CheapSpeller

_LEDGERS: dict[str, Ledger] = {}
_STORES: dict[str, BlobStore] = {}


def use(ledger: Ledger, blobs: BlobStore) -> None:
    """Let the definitions work with these stores."""
    _LEDGERS["world"] = ledger
    _STORES["world"] = blobs


class WorldLedger(LedgerResource):
    """Gives the world's ledger, with its clock."""

    def open(self) -> Ledger:
        """The ledger."""
        return _LEDGERS["world"]


class WorldBlobs(BlobStoreResource):
    """Gives the world's store, with its faults."""

    def open(self) -> BlobStore:
        """The store."""
        return _STORES["world"]


class WorldSpeller(SpellerResource):
    """Gives a speller that takes no time."""

    def open(self) -> Speller:
        """The speller."""
        return CheapSpeller()


def resources() -> dict[str, Any]:
    """The world's resources, by name."""
    settings = Settings()
    return {
        "ledger": WorldLedger(url=settings.resolved_ledger_url),
        "blobs": WorldBlobs(folder=str(settings.blob_folder)),
        "speller": WorldSpeller.of(settings),
    }


@definitions
def defs() -> Definitions:
    """The definitions over the world's stores."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PreviewWarning)
        return build_defs(Settings(), resources())
