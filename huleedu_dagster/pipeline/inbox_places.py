"""What the sweep of an inbox needs to know of the place where files are dropped."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from huleedu_dagster.pipeline.sources import Source

COMPLETE_FILE = ".complete"
"""Says that all files of a batch are there."""

BUCKET_MARK = "/"
"""Before the names of the bucket's files in the ledger; those of the folder have none."""


class InboxFile(Protocol):
    """One file of a batch, where it is."""

    @property
    def name(self) -> str:
        """Path inside its batch."""
        ...

    def signature(self) -> str:
        """What tells whether it changed; empty when it is gone."""
        ...

    def is_settled(self) -> bool:
        """Whether all of it has arrived."""
        ...

    def sources(self, max_bytes: int) -> AbstractContextManager[Sequence[Source]]:
        """The file, or what is in it if it is an archive; to be read inside the block.

        Args:
            max_bytes: Largest file that is taken in, in bytes.

        Raises:
            UnreadableFileError: It cannot be read.
            OSError: The place is gone.
        """
        ...


@dataclass(frozen=True, slots=True)
class Names:
    """What is at the top of an inbox.

    Attributes:
        batch_ids: The batches in it.
        misnamed: How much is in it that is no batch.
    """

    batch_ids: Sequence[str] = ()
    misnamed: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """What is in one batch of an inbox, litter of operating systems left out.

    Attributes:
        files: Its files, in order.
        complete: Signature of the file that says that the batch is complete; `None` without one.
    """

    files: Sequence[InboxFile]
    complete: str | None


class Place(Protocol):
    """Where files are dropped."""

    @property
    def mark(self) -> str:
        """Put before the names of its files in the ledger; no two places have the same."""
        ...

    @property
    def closed_looks(self) -> int | None:
        """How many closed batches one sweep looks at, at most; `None` for all."""
        ...

    def names(self) -> Names:
        """What is at its top.

        Raises:
            OSError: It cannot be listed; a failed listing is never an empty one.
        """
        ...

    def look(self, batch_id: str) -> Listing:
        """What is in a batch.

        Raises:
            UnreadableFileError: This batch cannot be listed; others may well be.
            OSError: The place cannot be listed.
        """
        ...
