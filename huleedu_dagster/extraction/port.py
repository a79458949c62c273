"""The port every extractor implements: bytes in, plain values out, nothing raised for bad input."""

from dataclasses import dataclass
from typing import Protocol

from huleedu_dagster.domain.outcomes import Code, Warn


@dataclass(frozen=True, slots=True)
class Extraction:
    """What came out of one file. Exactly one of `code` and `text` is set.

    Attributes:
        text: Normalised plain text (NFC, LF line ends, paragraphs parted by one empty line).
        code: Why there is no text.
        message: What was found, for an operator; never text from the file and never its name.
        warnings: What a teacher should know about the text, sorted.
        transient: The code may be due to load; it is not final for its key.
        format: The type found by content (`docx`, `pdf`, …), empty when unknown.
    """

    text: str | None = None
    code: Code | None = None
    message: str = ""
    warnings: tuple[Warn, ...] = ()
    transient: bool = False
    format: str = ""

    def __post_init__(self) -> None:
        """Refuse a result that is both or neither.

        Raises:
            ValueError: `text` and `code` are both set or both missing.
        """
        if (self.text is None) == (self.code is None):
            raise ValueError("an extraction has either a text or a code")


class Extractor(Protocol):
    """Reads one uploaded file. Implementations are deterministic: same bytes, same result."""

    @property
    def version(self) -> str:
        """Names and versions of everything that decides the text; part of the code version."""
        ...

    def extract(self, data: bytes, suffix: str) -> Extraction:
        """Extract the text of `data`.

        Args:
            data: The raw bytes, as uploaded.
            suffix: Lower-case suffix of the file name without the dot, or an empty string. It only
                decides between plain text kinds (txt, md, html); content decides all else.

        Returns:
            The text, or the code that says why there is none.

        Raises:
            OSError: The machine failed (no worker could be started), not the file.
        """
        ...
