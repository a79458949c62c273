"""The file of a spelling index: its layout, writing it, opening it, telling that it is damaged.

    header     4096 bytes: magic, length and checksum of a JSON object, and that object
    sections   arrays of the machine's own integers and the words' bytes, each padded to 8 bytes

Words are numbered by length and then by alphabet, so that a range of lengths is a range of
numbers. Each letter of the dictionary is one byte; 255 stands for every letter it does not have.

A tier finds words by what is left of their first `PREFIX` letters when up to so many of them are
deleted: two words within a distance of n share one of these remains after at most n deletions on
either side. Remains are put into buckets by their checksum; a bucket holds numbers of words.

**Damage.** A file is written under another name, flushed to the disk and then renamed: a build
that ends half-way leaves no index. On opening, the header is compared with its checksum, with the
dictionary that is asked for and with the size of the file. The checksum of everything, which takes
10 ms for English and reads the whole file, is compared once for each state of a file: a stamp
beside it notes which state (inode, size, times of change) was found good. Whatever rewrites a byte
changes these times; only a disk that forgets by itself goes unnoticed. Without a writable folder
there is no stamp, and each opening compares it all. A file must be replaced, never changed: others
have it mapped.
"""

import json
import mmap
import os
import struct
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

FORMAT = 2
PREFIX = 8
WORDS_AT = 4096
"""Where the words' bytes begin: behind the header."""
FOREIGN = 255
"""The byte of a letter that the dictionary does not have."""

_MAGIC = b"HULSPELL"
_HEAD = struct.Struct("<8sII")
_ALIGNMENT = 8


class DamagedIndexError(Exception):
    """A file is not a whole index of the dictionary asked for; it is to be built again."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds.

    Attributes:
        key: What it was built from; a file with another key is not the one asked for.
        letters: The dictionary's letters, in the order of their bytes.
        longest: Letters of the longest word.
        arrays: The sections by name, in the machine's byte order; the words' bytes come first.
    """

    key: Mapping[str, str]
    letters: str
    longest: int
    arrays: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Tier:
    """Words by the checksum of what deletions leave of them.

    Attributes:
        shift: A checksum shifted right by this is the number of its bucket.
        starts: For each bucket where its numbers begin; one more for the end of the last.
        ids: Numbers of words.
    """

    shift: int
    starts: memoryview
    ids: memoryview


@dataclass(frozen=True, slots=True)
class IndexFile:
    """An open index; read-only, shared with other processes by the kernel.

    Attributes:
        letters: The dictionary's letters, in the order of their bytes.
        longest: Letters of the longest word.
        data: The whole file.
        offsets: For each word where it begins in `data`; one more for the end of the last.
        counts: For each word how often it occurs.
        lengths: For each length the number of the first word that long or longer.
        tiers: By number of deletions: 0, of whole words, then 1 and 2.
    """

    letters: str
    longest: int
    data: mmap.mmap
    offsets: memoryview
    counts: memoryview
    lengths: memoryview
    tiers: tuple[Tier, Tier, Tier]

    def of_lengths(self, shortest: int, longest: int) -> tuple[int, int]:
        """The range of the words with so many letters: the first, and the one after the last."""
        last = len(self.lengths) - 1
        return self.lengths[min(max(shortest, 0), last)], self.lengths[min(longest + 1, last)]


def index_key(language: str, source: str, sha256: str) -> dict[str, str]:
    """What an index is built from; equal keys mean equal files."""
    return {
        "format": f"{FORMAT} {sys.byteorder} {PREFIX}",
        "language": language,
        "source": source,
        "dictionary": sha256,
    }


def write_index(path: Path, contents: Contents) -> None:
    """Write an index beside `path` and put it in its place when it is whole.

    The name of the unfinished file is always the same: the caller holds a lock.

    Raises:
        OSError: It cannot be written.
    """
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as stream:
            stream.write(bytes(WORDS_AT))
            sections: dict[str, tuple[int, int]] = {}
            checksum = 0
            for name, data in contents.arrays.items():
                sections[name] = (stream.tell(), len(data))
                for piece in (data, bytes(-len(data) % _ALIGNMENT)):
                    stream.write(piece)
                    checksum = zlib.crc32(piece, checksum)
            size = stream.tell()
            stream.seek(0)
            stream.write(_header(contents, sections, size, checksum))
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    part.replace(path)
    _flush_folder(path.parent)
    with path.open("rb") as stream:
        _write_stamp(path, _state(stream.fileno()))


def open_index(path: Path, key: Mapping[str, str]) -> IndexFile:
    """Open an index.

    Args:
        path: The file.
        key: What it must have been built from; see `index_key`.

    Raises:
        FileNotFoundError: There is none.
        DamagedIndexError: It is not whole, or not the one asked for.
        OSError: It cannot be read.
    """
    with path.open("rb") as stream:
        state = _state(stream.fileno())
        if os.fstat(stream.fileno()).st_size < WORDS_AT:
            raise DamagedIndexError("there is no header")
        data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    header = _read_header(data)
    if header["key"] != key:
        raise DamagedIndexError("it was made for something else")
    if header["size"] != len(data):
        raise DamagedIndexError("it is not complete")
    if not _has_stamp(path, state):
        if zlib.crc32(memoryview(data)[WORDS_AT:]) != header["checksum"]:
            raise DamagedIndexError("its contents have changed")
        _write_stamp(path, state)
    return _opened(data, header)


def _header(
    contents: Contents, sections: Mapping[str, tuple[int, int]], size: int, checksum: int
) -> bytes:
    fields = {
        "key": contents.key,
        "letters": contents.letters,
        "longest": contents.longest,
        "sections": sections,
        "size": size,
        "checksum": checksum,
    }
    text = json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass")
    header = _HEAD.pack(_MAGIC, len(text), zlib.crc32(text)) + text
    return header.ljust(WORDS_AT, b"\0")


def _read_header(data: mmap.mmap) -> dict[str, Any]:
    magic, length, checksum = _HEAD.unpack(data[: _HEAD.size])
    text = data[_HEAD.size : min(_HEAD.size + length, WORDS_AT)]
    if magic != _MAGIC or zlib.crc32(text) != checksum:
        raise DamagedIndexError("its header is not whole")
    loaded: dict[str, Any] = json.loads(text.decode("utf-8", "surrogatepass"))
    return loaded


def _opened(data: mmap.mmap, header: Mapping[str, Any]) -> IndexFile:
    def section(name: str, kind: Literal["I", "Q"]) -> memoryview:
        start, length = header["sections"][name]
        view = memoryview(data)[start : start + length]
        # There is no empty view of numbers.
        return view.cast(kind) if length else view

    def tiers() -> Iterator[Tier]:
        for number in range(3):
            starts = section(f"starts{number}", "I")
            # A power of two of buckets; checksums have 32 bits.
            shift = 33 - (len(starts) - 1).bit_length()
            yield Tier(shift, starts, section(f"ids{number}", "I"))

    whole, one, two = tiers()
    return IndexFile(
        letters=header["letters"],
        longest=header["longest"],
        data=data,
        offsets=section("offsets", "I"),
        counts=section("counts", "Q"),
        lengths=section("lengths", "I"),
        tiers=(whole, one, two),
    )


def _state(descriptor: int) -> str:
    found = os.fstat(descriptor)
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def _has_stamp(path: Path, state: str) -> bool:
    try:
        return path.with_suffix(".checked").read_text() == state
    except (OSError, UnicodeDecodeError):
        return False


def _write_stamp(path: Path, state: str) -> None:
    # No stamp is no error: whoever opens the file next compares it all again.
    part = path.with_suffix(f".checked-{os.getpid()}")
    with suppress(OSError):
        try:
            part.write_text(state)
            part.replace(path.with_suffix(".checked"))
        finally:
            part.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
