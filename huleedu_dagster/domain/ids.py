"""Ids and their grammar: batch, essay slot, upload, blob key, path of an essay.

Partition keys, blob keys and log lines are made of these ids, so nothing in them may carry a
person's name or need quoting.
"""

import re
import unicodedata
import uuid
from enum import StrEnum
from pathlib import PurePosixPath

MAX_SLOTS = 99
"""Slots of a batch at most: Dagster leaves 100 or more upstream partitions out of staleness."""

MAX_PATH_LENGTH = 1024
BATCH_LEVEL = "batch"
"""Stands where an essay's slot would, for what belongs to the whole batch."""

_BATCH = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SLOT = re.compile(r"e0(?:0[1-9]|[1-9][0-9])")
_UPLOAD = re.compile(r"[0-9a-f]{32}")
_KEY_PART = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")
_IGNORED_NAMES = frozenset({"thumbs.db", "desktop.ini", "__macosx", "ehthumbs.db"})


class InvalidIdError(ValueError):
    """An id or path that does not fit its grammar. The message says which grammar."""


class ContentType(StrEnum):
    """Kinds of blobs; each value is the kind's prefix in the blob store."""

    RAW_UPLOAD_BLOB = "raw_upload_blob"
    EXTRACTED_PLAINTEXT = "extracted_plaintext"
    SPELLCHECK_RESULT = "spellcheck_result"
    CORRECTED_TEXT = "corrected_text"
    BATCH_MANIFEST = "batch_manifest"
    BATCH_REPORT_JSON = "batch_report_json"
    BATCH_REPORT_HTML = "batch_report_html"
    AUDIT_REPORT_JSON = "audit_report_json"
    AUDIT_REPORT_CSV = "audit_report_csv"
    AUDIT_REPORT_HTML = "audit_report_html"
    AUDIT_BATCHES_PARQUET = "audit_batches_parquet"
    AUDIT_ESSAYS_PARQUET = "audit_essays_parquet"


def is_batch_id(text: str) -> bool:
    """Whether `text` is a batch id: lower-case letters, digits and inner `-`, at most 63."""
    return _BATCH.fullmatch(text) is not None


def check_batch_id(text: str) -> str:
    """Return `text` if it is a batch id.

    Raises:
        InvalidIdError: It is not; the message gives the grammar and not the text.
    """
    if not is_batch_id(text):
        raise InvalidIdError(
            "a batch id has 1 to 63 lower-case letters, digits and '-', "
            "and neither begins nor ends with '-'"
        )
    return text


def slot_id(number: int) -> str:
    """The id of slot `number` (1 to 99): `e001` to `e099`.

    Raises:
        InvalidIdError: `number` is out of range.
    """
    if not 1 <= number <= MAX_SLOTS:
        raise InvalidIdError(f"slots are numbered 1 to {MAX_SLOTS}")
    return f"e{number:03d}"


def slot_number(slot: str) -> int:
    """The number of a slot id.

    Raises:
        InvalidIdError: `slot` is not a slot id.
    """
    return int(check_slot(slot)[1:])


def check_slot(text: str) -> str:
    """Return `text` if it is a slot id.

    Raises:
        InvalidIdError: It is not.
    """
    if _SLOT.fullmatch(text) is None:
        raise InvalidIdError(f"an essay's slot is e001 to e{MAX_SLOTS:03d}")
    return text


def new_upload_id() -> str:
    """A fresh id for one file of one request: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def raw_blob_key(batch_id: str, upload_id: str) -> str:
    """Where the untouched bytes of an upload are kept.

    Raises:
        InvalidIdError: One of the ids does not fit its grammar.
    """
    if _UPLOAD.fullmatch(upload_id) is None:
        raise InvalidIdError("an upload id has 32 hexadecimal digits")
    return f"{ContentType.RAW_UPLOAD_BLOB}/{check_batch_id(batch_id)}/{upload_id}"


def derived_blob_key(kind: ContentType, batch_id: str, owner: str, sha256: str) -> str:
    """Where content derived from a batch is kept; content-addressed, so its bytes never change.

    Args:
        kind: Any kind but `RAW_UPLOAD_BLOB`.
        batch_id: The batch, or a date for reports of a day.
        owner: A slot, or `BATCH_LEVEL`.
        sha256: Hash of the content, hexadecimal.

    Raises:
        InvalidIdError: A part does not fit the grammar of keys.
    """
    for part in (batch_id, owner, sha256):
        if _KEY_PART.fullmatch(part) is None:
            raise InvalidIdError("a blob key is made of lower-case letters, digits, '-' and '_'")
    return f"{kind}/{batch_id}/{owner}/{sha256}"


def essay_path(text: str) -> str:
    """The relative path that identifies an essay inside its batch, in one canonical form.

    Separators become `/`, letters are composed (NFC), so that the same folder zipped on another
    system is the same set of essays.

    Raises:
        InvalidIdError: The path is empty, absolute, climbs out of its folder, is too long, has a
            blank part or holds control characters.
    """
    posix = unicodedata.normalize("NFC", text).replace("\\", "/")
    if posix.startswith("/") or (len(posix) > 1 and posix[1] == ":"):
        raise InvalidIdError("the path of an essay is relative")
    parts = [part for part in posix.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise InvalidIdError("the path of an essay stays inside its folder")
    if not all(map(str.strip, parts)):
        raise InvalidIdError("the path of an essay has no part that is blank")
    path = "/".join(parts)
    if path[1:2] == ":":
        raise InvalidIdError("the path of an essay is relative")
    if len(path) > MAX_PATH_LENGTH:
        raise InvalidIdError(f"the path of an essay has at most {MAX_PATH_LENGTH} characters")
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in path):
        raise InvalidIdError("the path of an essay holds no control characters")
    return path


def is_ignored_path(path: str) -> bool:
    """Whether a file is litter of an operating system (hidden, thumbnails), not an essay."""
    parts = PurePosixPath(path).parts
    return any(part.startswith((".", "~$")) or part.lower() in _IGNORED_NAMES for part in parts)


def suffix_of(path: str) -> str:
    """The lower-case suffix of a path without its dot, empty when there is none."""
    return PurePosixPath(path).suffix.removeprefix(".").lower()
