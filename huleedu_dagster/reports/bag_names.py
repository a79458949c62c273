"""Names of files in a bag: every system can unpack them, and no two are the same."""

import re
import unicodedata

_RESERVED = re.compile(r'[<>:"\\|?*%]')
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[\d¹²³]) *(?:\..*)?", re.IGNORECASE
)
_LONGEST_PART = 60
_MOST_PARTS = 2


def safe_path(path: str) -> str:
    """What is safe of an essay's path: its last folder and its name.

    Characters that are not seen, that systems reserve or that a manifest would escape are
    replaced, names of devices and blank ends too. It is short enough to unpack everywhere.
    """
    parts = [_safe_part(it) for it in path.split("/")]
    return "/".join(parts[-_MOST_PARTS:])


def _safe_part(part: str) -> str:
    # A manifest is read by lines, and some end one at every separator that Unicode knows.
    seen = "".join("_" if it != " " and unicodedata.category(it)[0] in "CZ" else it for it in part)
    plain = _RESERVED.sub("_", unicodedata.normalize("NFC", seen)).strip(" .")
    if len(plain) > _LONGEST_PART:
        stem, dot, suffix = plain.rpartition(".")
        end = dot + suffix if stem and len(suffix) < _LONGEST_PART // 2 else ""
        plain = plain[: _LONGEST_PART - len(end)].strip(" .") + end
    return f"_{plain}" if not plain or _DEVICE.fullmatch(plain) else plain
