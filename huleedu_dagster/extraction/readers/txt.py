"""Plain text: decoded, lines kept as they are."""

from huleedu_dagster.extraction.decode import decode_text
from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.sink import Reading, check_length


def read(data: bytes, limits: ExtractionLimits) -> Reading:
    """Read a text file.

    Raises:
        ExtractionError: UNDECODABLE_TEXT or TOO_LARGE.
    """
    text = decode_text(data)
    check_length(text, limits)
    return Reading(text)
