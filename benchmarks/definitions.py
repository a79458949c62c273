"""The code location of the benchmarks: the real definitions with a speller that takes no time."""

import warnings

from dagster import Definitions, definitions
from dagster._utils.warnings import PreviewWarning

from huleedu_dagster.definitions import build_defs
from huleedu_dagster.resources.speller import SpellerResource
from huleedu_dagster.settings import Settings
from huleedu_dagster.spelling.port import Speller
from tests.support.fakes import CheapSpeller


class CheapSpellerResource(SpellerResource):
    """Gives the cheap speller."""

    def open(self) -> Speller:
        """The speller."""
        return CheapSpeller()


@definitions
def defs() -> Definitions:
    """The definitions of the installation that the environment describes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PreviewWarning)
        settings = Settings()
        return build_defs(settings, {"speller": CheapSpellerResource.of(settings)})
