"""Archives that hold far more than they weigh, written by hand so that nothing huge is made."""

import struct
import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO

_MIB = 1024**2
_NAME_FLAGS = 0x800


def with_zeros(archive: bytes, name: str, size: int) -> bytes:
    """Add a member of so many zero bytes to an archive.

    Its checksum is false: an archive of which it is read is seen as damaged.

    Args:
        archive: A zip file.
        name: The member's name.
        size: Its size, bytes; whole MiB.

    Returns:
        The archive with the member at its end.
    """
    with zipfile.ZipFile(BytesIO(archive)) as source:
        members = {info.filename: source.read(info) for info in source.infolist()}
    return _zip(
        [
            *((it, _Packed.of(content)) for it, content in members.items()),
            (name, _repeated(b"\0", size)),
        ]
    )


def with_bomb(
    archive: bytes, name: str, start: bytes, size: int, end: bytes, *, declared: int | None = None
) -> bytes:
    """Replace a member of an archive by one that unpacks to about `size` bytes of spaces.

    Args:
        archive: A zip file.
        name: The member's name.
        start: What its content begins with.
        size: Spaces between start and end; whole MiB.
        end: What its content ends with.
        declared: The size its headers claim, with a checksum to match; the true one when None.

    Returns:
        The archive, the member in its place.
    """
    with zipfile.ZipFile(BytesIO(archive)) as source:
        members: Mapping[str, _Packed] = {
            info.filename: _Packed.of(source.read(info)) for info in source.infolist()
        }
    bomb = _repeated(b" ", size, start, end)
    if declared is not None:
        seen = (start + b" " * declared)[:declared]
        bomb = _Packed(bomb.data, zlib.crc32(seen), declared)
    return _zip([(it, bomb if it == name else packed) for it, packed in members.items()])


def with_entries(archive: bytes, count: int) -> bytes:
    """Put so many entries of empty members before an archive's directory, with 64-bit counts.

    The old record of the end still claims few.
    """
    at = archive.rfind(b"PK\x05\x06")
    members, size, start = struct.unpack_from("<HII", archive, at + 10)
    numbers = struct.pack("<HHHHHHIIIHHHHHII", 20, 20, 0, 0, 0, 0x21, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0)
    entries = b"".join(b"PK\x01\x02%b%06x" % (numbers, number) for number in range(count))
    directory = entries + archive[start : start + size]
    total = count + members
    long_end = struct.pack(
        "<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, total, total, len(directory), start
    )
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, start + len(directory), 1)
    return archive[:start] + directory + long_end + locator + archive[at:]


class _Packed:
    """A deflated member: its bytes, checksum and claimed size."""

    def __init__(self, data: bytes, crc: int, size: int) -> None:
        self.data = data
        self.crc = crc
        self.size = size

    @classmethod
    def of(cls, content: bytes) -> "_Packed":
        """Pack a content."""
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = packer.compress(content) + packer.flush()
        return cls(packed, zlib.crc32(content), len(content))


def _repeated(unit: bytes, size: int, start: bytes = b"", end: bytes = b"") -> _Packed:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    # A full flush forgets what came before, so the same piece can be put down many times.
    piece = packer.compress(unit * _MIB) + packer.flush(zlib.Z_FULL_FLUSH)
    tail = packer.compress(end) + packer.flush()
    packed = head + piece * (size // _MIB) + tail
    return _Packed(packed, 0, len(start) + size + len(end))


def _zip(members: list[tuple[str, _Packed]]) -> bytes:
    body, directory = bytearray(), bytearray()
    for name, packed in members:
        encoded = name.encode()
        common = struct.pack(
            "<HHHHHIIIHH",
            20,
            _NAME_FLAGS,
            zipfile.ZIP_DEFLATED,
            0,
            0x21,
            packed.crc,
            len(packed.data),
            packed.size,
            len(encoded),
            0,
        )
        directory += b"PK\x01\x02\x14\x00" + common
        directory += struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + encoded
        body += b"PK\x03\x04" + common + encoded + packed.data
    count = len(members)
    end = struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0)
    return bytes(body + directory) + b"PK\x05\x06" + end
