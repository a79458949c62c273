"""The speller as a Dagster resource."""

from dagster import ConfigurableResource

from huleedu_dagster.spelling.port import Speller
from huleedu_dagster.spelling.reference import ReferenceSpeller


class SpellerResource(ConfigurableResource[Speller]):
    """Gives spellers."""

    def open(self) -> Speller:
        """A speller with an empty cache: each run has its own."""
        return ReferenceSpeller()
