"""An inbox folder, for tests."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.pipeline.inbox import Inbox, Sweep
from tests.support.workshop import GOOD, Workshop


class Post:
    """An inbox folder and sweeps over it; files settle in two seconds."""

    def __init__(self, shop: Workshop) -> None:
        self.shop = shop
        self.folder = shop.folder / "inbox"
        self.folder.mkdir()
        self.inbox = Inbox(self.folder, shop.intake, BatchSettings(), 2.0, max_bytes=10_000)

    def drop(self, name: str, data: bytes = GOOD) -> Path:
        """Write a file into it."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def sweep(self, *, limit: int = 100, seconds: float = 60) -> Sweep:
        """Look at the inbox as it will be in some seconds."""
        return self.inbox.sweep(datetime.now(UTC) + timedelta(seconds=seconds), limit)

    def sweep_at_once(self, path: Path) -> Sweep:
        """Look at the inbox as it was when a file was changed."""
        return self.inbox.sweep(datetime.fromtimestamp(path.stat().st_ctime, UTC), 100)

    def paths(self, batch_id: str = "class-a") -> list[str]:
        """The essays of a batch."""
        return [it.upload.path for it in self.shop.facts(batch_id).essays]

    def is_closed(self) -> bool:
        """Whether the first batch is closed."""
        return self.shop.facts().batch.closed_at is not None
