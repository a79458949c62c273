"""The extractor as a Dagster resource."""

from dagster import ConfigurableResource

from huleedu_dagster.extraction.direct import DirectExtractor
from huleedu_dagster.extraction.port import Extractor


class ExtractorResource(ConfigurableResource[Extractor]):
    """Gives the extractor."""

    def open(self) -> Extractor:
        """The extractor."""
        return DirectExtractor()
