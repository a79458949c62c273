"""What keys and prefixes of every blob store look like."""

import re

from huleedu_dagster.storage.port import InvalidBlobKeyError

_KEY = re.compile(r"[a-z0-9][a-z0-9_-]*(?:/[a-z0-9][a-z0-9_-]*){1,7}")
_PREFIX = re.compile(r"[a-z0-9][a-z0-9_-]*(?:/[a-z0-9][a-z0-9_-]*)*")


def check_key(key: str) -> None:
    """Refuse what is no key.

    Raises:
        InvalidBlobKeyError: It does not fit the grammar.
    """
    if _KEY.fullmatch(key) is None:
        raise InvalidBlobKeyError(
            "a key has two to eight parts of lower-case letters, digits, '-' and '_'"
        )


def check_prefix(prefix: str) -> None:
    """Refuse what is not made of the first parts of a key.

    Raises:
        InvalidBlobKeyError: It does not fit the grammar.
    """
    if _PREFIX.fullmatch(prefix) is None:
        raise InvalidBlobKeyError("a prefix is made of whole parts of a key")
