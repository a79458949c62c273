"""Files to hand in, from folders, single files and zip archives; a zip file is a folder.

Nothing is read before its size is known, and an archive that breaks a limit is handed in as it
is: it is kept, and rejected with a code that its sender sees.
"""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from huleedu_dagster.domain.ids import InvalidIdError, essay_path, is_ignored_path

MAX_ZIP_MEMBERS = 2_000
MAX_ZIP_BYTES = 1_000_000_000
MAX_ZIP_RATIO = 200
_BOUNDED_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED_FLAG = 0x1


class UnreadableFileError(Exception):
    """A file of the sender's cannot be read; it was left where it is."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file to hand in.

    Attributes:
        path: Relative path that identifies the essay.
        size: Size in bytes.
        read: Gives the bytes. Raises `UnreadableFileError` when they cannot be had.
    """

    path: str
    size: int
    read: Callable[[], bytes]


def sources_of(target: Path, *, max_bytes: int) -> list[Source]:
    """All files below a folder, inside a zip archive, or the one file itself, by path.

    Litter of operating systems and links are left out.

    Raises:
        OSError: The folder cannot be listed.
    """
    if target.is_dir():
        found = [it for path in walk(target) for it in _expand(path, target, max_bytes)]
        return sorted(found, key=lambda it: it.path)
    members = archive_members(target, max_bytes=max_bytes)
    if members is not None:
        return sorted(members, key=lambda it: it.path)
    return [file_source(target, target.name)]


def file_source(path: Path, name: str) -> Source:
    """One file, to be read when it is needed.

    Raises:
        UnreadableFileError: The file is gone.
    """

    def read() -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise UnreadableFileError("a file cannot be read") from error

    try:
        return Source(name, path.stat().st_size, read)
    except OSError as error:
        raise UnreadableFileError("a file cannot be read") from error


def archive_members(path: Path, *, max_bytes: int, prefix: str = "") -> list[Source] | None:
    """The files in a zip archive; `None` for what is not one, or breaks a limit.

    Args:
        path: The file.
        max_bytes: Largest member that is taken in, in bytes.
        prefix: Put before the members' paths.

    Raises:
        UnreadableFileError: The file cannot be read.
    """
    if path.suffix.lower() != ".zip":
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            members = [it for it in archive.infolist() if not it.is_dir()]
            if not _within_limits(members, max_bytes):
                return None
            named = [(essay_path(it.filename), it) for it in members]
            for name, _ in named:
                essay_path(prefix + name)
            if len({name for name, _ in named}) < len(named):
                return None
            return [
                Source(prefix + name, it.file_size, _member_reader(path, it))
                for name, it in named
                if not is_ignored_path(name)
            ]
    except (zipfile.BadZipFile, InvalidIdError, NotImplementedError, ValueError):
        return None
    except OSError as error:
        raise UnreadableFileError("an archive cannot be read") from error


def _within_limits(members: list[zipfile.ZipInfo], max_bytes: int) -> bool:
    packed = sum(it.compress_size for it in members)
    unpacked = sum(it.file_size for it in members)
    return (
        0 < len(members) <= MAX_ZIP_MEMBERS
        and unpacked <= min(MAX_ZIP_BYTES, MAX_ZIP_RATIO * max(packed, 1))
        and all(it.file_size <= max_bytes for it in members)
        and not any(it.flag_bits & _ENCRYPTED_FLAG for it in members)
        # The library unpacks whole blocks of any other method, whatever size it is asked for.
        and all(it.compress_type in _BOUNDED_METHODS for it in members)
        and len({it.filename for it in members}) == len(members)
    )


def _member_reader(path: Path, member: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
                # The size in the header may lie: never read more than it says.
                data = stream.read(member.file_size + 1)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            RuntimeError,
            ValueError,
            OSError,
        ) as error:
            raise UnreadableFileError("a file of the archive is damaged") from error
        if len(data) > member.file_size:
            raise UnreadableFileError("a file of the archive is larger than it says")
        return data

    return read


def walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder, by path; litter of operating systems and links are left out.

    Raises:
        OSError: A folder cannot be listed.
    """
    for path in sorted(folder.iterdir()):
        if is_ignored_path(path.name) or path.is_symlink():
            continue
        if path.is_dir():
            yield from walk(path)
        elif path.is_file():
            yield path


def _expand(path: Path, root: Path, max_bytes: int) -> list[Source]:
    name = path.relative_to(root).as_posix()
    members = archive_members(path, max_bytes=max_bytes, prefix=f"{name}/")
    return [file_source(path, name)] if members is None else members
