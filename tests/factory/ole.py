"""A minimal writer of OLE compound files (version 3, 512-byte sectors)."""

import struct
from collections.abc import Mapping

_SECTOR = 512
_FREE = 0xFFFFFFFF
_END = 0xFFFFFFFE
_FAT = 0xFFFFFFFD
_NO_STREAM = 0xFFFFFFFF
_MINI_CUTOFF = 4096
_ENTRIES_PER_SECTOR = 4


def ole_bytes(streams: Mapping[str, bytes]) -> bytes:
    """Build an OLE compound file with up to three root streams.

    Streams are padded to 4,096 bytes, so that no mini stream is needed.

    Args:
        streams: Stream name to content; at most three.

    Returns:
        The bytes of the container, the same for the same input.

    Raises:
        ValueError: More streams than one directory sector holds.
    """
    if len(streams) >= _ENTRIES_PER_SECTOR:
        raise ValueError("at most three streams fit the one directory sector")
    # The format sorts siblings by length of name, then by upper-case name.
    names = sorted(streams, key=lambda name: (len(name), name.upper()))
    fat = [_FAT, _END]
    entries = [_entry("Root Entry", 5, child=1 if names else _NO_STREAM)]
    body = b""
    for index, name in enumerate(names, start=1):
        content = streams[name].ljust(_MINI_CUTOFF, b"\0")
        sectors = -(-len(content) // _SECTOR)
        start = len(fat)
        fat += [*range(start + 1, start + sectors), _END]
        right = index + 1 if index < len(names) else _NO_STREAM
        entries.append(_entry(name, 2, right=right, start=start, size=len(content)))
        body += content.ljust(sectors * _SECTOR, b"\0")
    if len(fat) > _SECTOR // 4:
        raise ValueError("the content does not fit the one table sector")
    fat += [_FREE] * (_SECTOR // 4 - len(fat))
    directory = b"".join(entries).ljust(_SECTOR, b"\0")
    return _header() + struct.pack(f"<{len(fat)}I", *fat) + directory + body


def _header() -> bytes:
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 16
    head += struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + b"\0" * 6
    head += struct.pack("<IIIIIIIII", 0, 1, 1, 0, _MINI_CUTOFF, _END, 0, _END, 0)
    return head + struct.pack("<109I", 0, *([_FREE] * 108))


def _entry(
    name: str,
    kind: int,
    *,
    right: int = _NO_STREAM,
    child: int = _NO_STREAM,
    start: int = _END,
    size: int = 0,
) -> bytes:
    encoded = (name + "\0").encode("utf-16-le")
    head = encoded.ljust(64, b"\0") + struct.pack("<HBB", len(encoded), kind, 1)
    links = struct.pack("<III", _NO_STREAM, right, child)
    return head + links + b"\0" * 36 + struct.pack("<IQ", start, size)
