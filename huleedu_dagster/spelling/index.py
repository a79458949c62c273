"""Where a spelling index comes from: opened, or built first, once for all processes."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from huleedu_dagster.spelling.dictionaries import Dictionary, DictionaryError
from huleedu_dagster.spelling.index_file import (
    FORMAT,
    DamagedIndexError,
    IndexFile,
    index_key,
    open_index,
    write_index,
)

Progress = Callable[[str], None]
"""Takes a sentence for people about something that takes seconds."""


class IndexUnavailableError(OSError):
    """There is no index, and none can be built in the folder; the message says why."""


def index_path(dictionary: Dictionary, folder: Path) -> Path:
    """Where the index of a dictionary is kept.

    The name tells library, dictionary and format: another version has an index of its own.
    """
    source = dictionary.source.replace(" ", "-")
    name = f"{dictionary.language}-{source}-{dictionary.sha256[:12]}-{FORMAT}"
    return folder / f"{name}.index"


def obtain_index(
    dictionary: Dictionary, folder: Path, progress: Progress | None = None
) -> IndexFile:
    """Open the index of a dictionary; build it if there is none or it is damaged.

    One process builds, under a lock of the kernel's; others wait for it and open what it built.
    A folder that cannot be written to is good enough as long as the index in it is whole. There
    is no index in memory instead: every process would spend seconds and a hundred megabytes.

    Args:
        dictionary: What it is built from.
        folder: Where indexes are kept; made when it is missing.
        progress: Told when something takes seconds.

    Raises:
        IndexUnavailableError: There is no whole index and it cannot be built.
        DictionaryError: The dictionary is damaged.
    """
    tell = progress or _say_nothing
    try:
        found = _opened(dictionary, folder, _say_nothing)
        if found is not None:
            return found
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(index_path(dictionary, folder).with_suffix(".lock"), dictionary, tell):
            # Another process may have built it meanwhile.
            return _opened(dictionary, folder, tell) or _built(dictionary, folder, tell)
    except DictionaryError:
        raise
    except OSError as error:
        raise IndexUnavailableError(
            f"The spelling index for {dictionary.language!r} cannot be built in {folder}: {error}. "
            "The folder must exist and be writable, or hold an index that was built before."
        ) from error


def _opened(dictionary: Dictionary, folder: Path, tell: Progress) -> IndexFile | None:
    key = index_key(dictionary.language, dictionary.source, dictionary.sha256)
    try:
        return open_index(index_path(dictionary, folder), key)
    except FileNotFoundError:
        return None
    except DamagedIndexError as error:
        tell(f"The spelling index for {dictionary.language!r} is damaged: {error}.")
        return None


def _built(dictionary: Dictionary, folder: Path, tell: Progress) -> IndexFile:
    from huleedu_dagster.spelling.index_build import build_index

    tell(f"Building the spelling index for {dictionary.language!r}; this is done once …")
    contents = build_index(dictionary)
    path = index_path(dictionary, folder)
    write_index(path, contents)
    return open_index(path, contents.key)


@contextmanager
def _lock(path: Path, dictionary: Dictionary, tell: Progress) -> Iterator[None]:
    """Hold the lock of an index; it ends with the process, however that ends."""
    with path.open("a") as stream:
        if not _is_free(stream):
            tell(f"Another process is building the spelling index for {dictionary.language!r} …")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _is_free(stream: IO[str]) -> bool:
    """Whether the lock was free; it is taken then."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _say_nothing(_: str) -> None:
    pass
