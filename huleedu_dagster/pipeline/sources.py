"""Files to hand in, from folders, single files and zip archives; a zip file is a folder.

Nothing is read before its size is known, and an archive that breaks a limit is handed in as it
is: it is kept, and rejected with a code that its sender sees.
"""

import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from huleedu_dagster.domain.ids import InvalidIdError, essay_path, is_ignored_path

MAX_ZIP_MEMBERS = 2_000
MAX_ZIP_BYTES = 1_000_000_000
MAX_ZIP_RATIO = 200
_DIRECTORY_BYTES_PER_MEMBER = 1_024
_END = b"PK\x05\x06"
_END_BYTES = 22
_LONGEST_COMMENT = 65_535
_LOCATOR = b"PK\x06\x07"
_LOCATOR_BYTES = 20
_LONG_END = b"PK\x06\x06"
_LONG_END_BYTES = 56
_BOUNDED_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED_FLAG = 0x1
_PIECE_BYTES = 256 * 1024


class UnreadableFileError(Exception):
    """A file of the sender's cannot be read; it was left where it is."""


class BusyFileError(UnreadableFileError):
    """It cannot be read for the moment."""


class DamagedFileError(UnreadableFileError):
    """Its bytes can be had and are no good; reading them again would end in the same way."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file to hand in.

    Attributes:
        path: Relative path that identifies the essay.
        size: Size in bytes.
        pieces: Gives the bytes piece by piece, from the beginning each time. Raises
            `UnreadableFileError` when they cannot be had, which may be after some pieces.
    """

    path: str
    size: int
    pieces: Callable[[], Iterator[bytes]]

    def read(self) -> bytes:
        """All of the bytes.

        Raises:
            UnreadableFileError: They cannot be had.
        """
        return b"".join(self.pieces())


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

    def pieces() -> Iterator[bytes]:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UnreadableFileError("a file cannot be read") from error
        yield data

    try:
        return Source(name, path.stat().st_size, pieces)
    except OSError as error:
        raise UnreadableFileError("a file cannot be read") from error


def is_archive(name: str) -> bool:
    """Whether a file of this name is looked into."""
    return PurePosixPath(name).suffix.lower() == ".zip"


def archive_members(
    file: Path | IO[bytes], *, max_bytes: int, prefix: str = ""
) -> list[Source] | None:
    """The files in a zip archive; `None` for what is not one, or breaks a limit.

    Args:
        file: The file; or what is in it, from any place to any place, open for as long as the
            members are read.
        max_bytes: Largest member that is taken in, in bytes.
        prefix: Put before the members' paths.

    Raises:
        UnreadableFileError: The file cannot be read.
    """
    if isinstance(file, Path) and not is_archive(file.name):
        return None
    try:
        if not _has_small_directory(file):
            return None
        with zipfile.ZipFile(file) as archive:
            members = [it for it in archive.infolist() if not it.is_dir()]
            if not _within_limits(members, max_bytes):
                return None
            named = [(essay_path(it.filename), it) for it in members]
            for name, _ in named:
                essay_path(prefix + name)
            if len({name for name, _ in named}) < len(named):
                return None
            return [
                Source(prefix + name, it.file_size, _member_pieces(file, it))
                for name, it in named
                if not is_ignored_path(name)
            ]
    except (zipfile.BadZipFile, InvalidIdError, NotImplementedError, ValueError):
        return None
    except OSError as error:
        raise UnreadableFileError("an archive cannot be read") from error


def _has_small_directory(file: Path | IO[bytes]) -> bool:
    """Whether a directory is there and short, asked before an object is made for each entry."""
    with file.open("rb") if isinstance(file, Path) else nullcontext(file) as stream:
        size = stream.seek(0, os.SEEK_END)
        reach = _LONG_END_BYTES + _LOCATOR_BYTES + _END_BYTES + _LONGEST_COMMENT
        stream.seek(max(0, size - reach))
        tail = stream.read(reach)
    end = tail.rfind(_END)
    if end < 0 or len(tail) < end + _END_BYTES:
        return False
    members, length = struct.unpack_from("<HI", tail, end + 10)
    locator = end - _LOCATOR_BYTES
    long_end = locator - _LONG_END_BYTES
    # The library follows the longer record whenever there is one, whatever the short one says.
    if tail[max(0, locator) : end].startswith(_LOCATOR):
        if long_end < 0 or not tail.startswith(_LONG_END, long_end):
            return False
        members, length = struct.unpack_from("<QQ", tail, long_end + 32)
    is_short: bool = length <= MAX_ZIP_MEMBERS * _DIRECTORY_BYTES_PER_MEMBER
    return is_short and bool(members <= MAX_ZIP_MEMBERS)


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


def _member_pieces(
    file: Path | IO[bytes], member: zipfile.ZipInfo
) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        # The size in the header may lie: never read more than it says.
        left = member.file_size + 1
        try:
            with zipfile.ZipFile(file) as archive, archive.open(member) as stream:
                while left and (piece := stream.read(min(left, _PIECE_BYTES))):
                    left -= len(piece)
                    yield piece
        except OSError as error:
            raise UnreadableFileError("a file of the archive cannot be read") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
            raise DamagedFileError("a file of the archive is damaged") from error
        if not left:
            raise DamagedFileError("a file of the archive is larger than it says")

    return pieces


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
