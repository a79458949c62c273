"""The intake's pages as a Dagster resource: where people read what an asset is about."""

from typing import Self

from dagster import ConfigurableResource, MetadataValue
from pydantic import Field

from huleedu_dagster.settings import Settings

PAGE = "intake_page"
"""The name of a link in metadata."""

_Links = dict[str, MetadataValue]


class IntakePagesResource(ConfigurableResource[None]):
    """Gives links to the intake's pages: ids only, and whoever follows one has to be signed in."""

    url: str = Field(
        default="", description="Address of the intake; empty where there are to be no links."
    )

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The resource of an installation."""
        return cls(url=settings.intake_url.rstrip("/"))

    def home(self) -> _Links:
        """The link to the page that lists the batches; nothing without an address."""
        return self._link("/")

    def batch(self, batch_id: str) -> _Links:
        """The link to the page of a batch; nothing without an address."""
        return self._link(f"/batches/{batch_id}")

    def essay(self, batch_id: str, slot: str) -> _Links:
        """The link to the page of an essay; nothing without an address."""
        return self._link(f"/batches/{batch_id}/essays/{slot}")

    def _link(self, path: str) -> _Links:
        return {PAGE: MetadataValue.url(f"{self.url}{path}")} if self.url else {}
