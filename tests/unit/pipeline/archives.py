"""Zip archives for tests, sound and damaged."""

import io
import struct
import zipfile
from collections.abc import Mapping


def zipped(members: Mapping[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive with these members."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def broken_member(members: Mapping[str, bytes], name: str, *, harm: str = "bytes") -> bytes:
    """An archive whose directory is sound and in which one member is damaged.

    Args:
        members: What is in it.
        name: The member to damage.
        harm: `bytes` (its checksum does not fit), `packed` (its packed data cannot be unpacked) or
            `name` (its local header holds a name that is not UTF-8).
    """
    compression = zipfile.ZIP_DEFLATED if harm == "packed" else zipfile.ZIP_STORED
    shown = {("å" + it if harm == "name" else it): data for it, data in members.items()}
    damaged = bytearray(zipped(shown, compression=compression))
    with zipfile.ZipFile(io.BytesIO(damaged)) as archive:
        header = archive.getinfo("å" + name if harm == "name" else name).header_offset
    start = header + 30
    if harm == "name":
        damaged[start : start + 2] = b"\xff\xff"
        return bytes(damaged)
    start += len(name.encode())
    if harm == "packed":
        damaged[start : start + 11] = b"\xff" * 11
    else:
        damaged[start] ^= 0xFF
    return bytes(damaged)


def empty_members(count: int, lie: str = "none") -> bytes:
    """An archive of many empty members.

    Args:
        count: How many; at most 65,534.
        lie: What its end says of them: `none` (the truth), `count` (that there is one) or
            `short record` (that there is one, with the truth in a zip64 record before it) or
            `long record` (that a zip64 record tells, which does).
    """
    data = zipped({f"{number:05}.txt": b"" for number in range(count)})
    body, end = data[:-22], data[-22:]
    size, start = struct.unpack_from("<II", end, 12)
    if lie == "none":
        return data
    if lie == "count":
        return body + end[:8] + struct.pack("<HH", 1, 1) + end[12:]
    long_end = struct.pack(
        "<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, start
    )
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(body), 1)
    told = (0xFFFF, 0xFFFF, 0xFFFFFFFF) if lie == "long record" else (1, 1, 46)
    return body + long_end + locator + end[:8] + struct.pack("<HHI", *told) + end[16:]
