"""What must hold for whatever a reader made of whatever bytes."""

import unicodedata

from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.normalise import normalise
from huleedu_dagster.extraction.port import Extraction
from huleedu_dagster.extraction.sniff import Kind

LIMITS = ExtractionLimits()
_NEVER = frozenset("\0\r\x0b\x0c\x85\xad\u2028\u2029\u200b\ufeff")
_KINDS = frozenset({*Kind, ""})
_FINAL = frozenset(Code) - {Code.TIMEOUT, Code.PARSER_CRASHED}


def broken_promises(found: Extraction, *, guarded: bool = False) -> list[str]:
    """What is wrong with a result; nothing when it keeps every promise of the port.

    Args:
        found: What an extractor gave.
        guarded: It came from the sandbox, which may also say that a reader died.
    """
    broken = []
    if found.format not in _KINDS:
        broken.append("a format that is no kind")
    if list(found.warnings) != sorted(set(found.warnings)):
        broken.append("warnings that are not sorted")
    if found.code is not None and not guarded and found.code not in _FINAL:
        broken.append(f"the code {found.code} from a reader")
    return broken + ([] if found.text is None else _broken_text(found.text))


def _broken_text(text: str) -> list[str]:
    checks = {
        "text of white space": not text.strip(),
        "text longer than the limit": len(text) > 2 * LIMITS.max_output_chars,
        "text that is not NFC": not unicodedata.is_normalized("NFC", text),
        "a character that is never left": not _NEVER.isdisjoint(text),
        "a lone surrogate": any("\ud800" <= char <= "\udfff" for char in text),
        "text that normalises to another": normalise(text) != text,
    }
    return [what for what, wrong in checks.items() if wrong]
