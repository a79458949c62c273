"""Small secrets of an installation, in files that only its user may read."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path


def kept(path: Path, make: Callable[[], str]) -> str:
    """What a file holds; it is made first if there is none.

    Of several processes that make it at once, one wins, and all get what that one wrote.

    Args:
        path: The file; its folder is made too.
        make: Gives what a new file holds.

    Raises:
        OSError: The file cannot be read or made.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        pass
    temporary = _written(path, make())
    try:
        # A link, unlike a rename, never replaces what another process put there meanwhile.
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    return path.read_text(encoding="utf-8")


def replace(path: Path, text: str) -> None:
    """Let a file hold `text`; readers see the old or the new, whole.

    Raises:
        OSError: The file cannot be written.
    """
    temporary = _written(path, text)
    try:
        temporary.replace(path)
    except OSError:
        temporary.unlink()
        raise


def _written(path: Path, text: str) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    return temporary
