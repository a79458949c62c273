"""From bytes to text or a code, in this process: one function of the bytes alone."""

from importlib import import_module
from typing import Protocol, cast

from huleedu_dagster.domain.outcomes import Code, Warn
from huleedu_dagster.extraction.errors import ExtractionError
from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.normalise import looks_garbled, normalise
from huleedu_dagster.extraction.port import Extraction
from huleedu_dagster.extraction.sink import Reading
from huleedu_dagster.extraction.sniff import REFUSALS, Kind, sniff


class Reader(Protocol):
    """What every module in `readers` has."""

    def read(self, data: bytes, limits: ExtractionLimits) -> Reading:
        """Read one file of the module's kind.

        Raises:
            ExtractionError: Why it has no text.
        """
        ...


def extract_bytes(data: bytes, suffix: str, limits: ExtractionLimits) -> Extraction:
    """Extract the text of one file.

    Args:
        data: The raw bytes, as uploaded.
        suffix: Lower-case suffix of the file name without the dot, or an empty string.
        limits: Caps on size, parts, pages and output.

    Returns:
        The normalised text, or the code that says why there is none.

    Raises:
        OSError: A reader cannot be imported: the installation is broken, not the file.
    """
    kind = ""
    try:
        if len(data) > limits.max_input_bytes:
            raise ExtractionError(Code.TOO_LARGE, "the file is larger than the limit")
        found = sniff(data, suffix, limits)
        kind = found.value
        if found in REFUSALS:
            raise ExtractionError(*REFUSALS[found])
        return _accepted(_reader(found).read(data, limits), found)
    except ExtractionError as error:
        return Extraction(code=error.code, message=error.message, format=kind)
    except MemoryError:
        return Extraction(code=Code.TOO_LARGE, message="out of memory", transient=True, format=kind)
    except RecursionError:
        return Extraction(code=Code.TOO_LARGE, message="nested too deeply", format=kind)
    except ImportError as error:
        raise OSError("a reader of the installation is broken") from error
    except Exception as error:
        # Parsers raise whatever they like; their messages may quote the file, so only the class.
        message = f"the reader failed with {type(error).__name__}"
        return Extraction(code=Code.CORRUPTED_FILE, message=message, format=kind)


def _accepted(reading: Reading, kind: Kind) -> Extraction:
    text = normalise(reading.text)
    if not text.strip():
        raise ExtractionError(Code.EMPTY_CONTENT, "no text but white space")
    warnings = set(reading.warnings)
    if looks_garbled(reading.text):
        warnings.add(Warn.GARBLED_TEXT)
    return Extraction(text=text, warnings=tuple(sorted(warnings)), format=kind.value)


def _reader(kind: Kind) -> Reader:
    # Imported by name when first needed: one format's library is not the others' cost.
    return cast("Reader", import_module(f"huleedu_dagster.extraction.readers.{kind}"))
