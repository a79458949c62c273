"""Ways to damage a file: blind ones, and ones that keep its outside whole to reach its inside."""

import io
import random
import re
import zipfile
from collections.abc import Callable

from tests.factory.documents import zip_bytes
from tests.fuzz.seeds import seeds, words

MOST_BYTES = 200_000
_STREAM = re.compile(rb"stream\n(.*?)\nendstream", re.S)
_START_TAG = re.compile(rb"<([\w:]+)[^<>]*>")
_NUMBER = re.compile(rb"-?\d+")
_NUMBERS = (b"0", b"-1", b"1", b"255", b"65536", b"2147483647", b"-2147483648", b"9" * 18, b"1e9")
_REPEATS = (2, 10, 100, 2_000)


def made(reader: str, rng: random.Random, most: int = MOST_BYTES) -> bytes:
    """One damaged file.

    Args:
        reader: The format it begins as.
        rng: Decides everything.
        most: A longer file is cut to so many bytes.

    Returns:
        The bytes of the file.
    """
    if rng.random() < 0.03:
        return rng.randbytes(rng.randrange(2_000))
    return mutated(rng.choice(seeds(reader)), reader, rng)[:most]


def mutated(data: bytes, reader: str, rng: random.Random) -> bytes:
    """A file damaged in one to four ways."""
    for _ in range(rng.randint(1, 4)):
        inside = _INSIDE.get(reader)
        if inside is not None and rng.random() < 0.75:
            data = inside(data, reader, rng)
        else:
            data = _outside(data, reader, rng)
    return data[:MOST_BYTES]


def _outside(data: bytes, reader: str, rng: random.Random) -> bytes:
    return rng.choice(_BLIND)(data, reader, rng)[: 2 * MOST_BYTES]


def _flip_bits(data: bytes, reader: str, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 40))):
        if out:
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _truncate(data: bytes, reader: str, rng: random.Random) -> bytes:
    begin, end = _span(data, rng)
    return data[:end] if rng.random() < 0.5 else data[:begin] + data[end:]


def _splice(data: bytes, reader: str, rng: random.Random) -> bytes:
    other = rng.choice(seeds(reader))
    begin, end = _span(other, rng)
    at = rng.randint(0, len(data))
    rest = data[at:] if rng.random() < 0.5 else data[at + end - begin :]
    return data[:at] + other[begin:end] + rest


def _duplicate(data: bytes, reader: str, rng: random.Random) -> bytes:
    begin, end = _span(data, rng)
    times = min(rng.choice(_REPEATS), MOST_BYTES // max(end - begin, 1))
    return data[:begin] + data[begin:end] * times + data[end:]


def _insert_words(data: bytes, reader: str, rng: random.Random) -> bytes:
    piece = b"".join(rng.choices(words(reader), k=rng.randint(1, 3)))
    at = rng.randint(0, len(data))
    return data[:at] + piece * rng.choice((1, 1, 1, *_REPEATS)) + data[at:]


def _change_number(data: bytes, reader: str, rng: random.Random) -> bytes:
    found = list(_NUMBER.finditer(data[:MOST_BYTES]))
    if not found:
        return data
    number = rng.choice(found)
    return data[: number.start()] + rng.choice(_NUMBERS) + data[number.end() :]


def _change_element(data: bytes, reader: str, rng: random.Random) -> bytes:
    tags = list(_START_TAG.finditer(data[:MOST_BYTES]))
    if len(tags) < 2:
        return data
    one, other = (_element(data, tag) for tag in rng.sample(tags, 2))
    piece = data[slice(*one)]
    kind = rng.random()
    if kind < 0.4:
        return data[: other[0]] + piece + data[other[1] :]
    if kind < 0.7:
        times = min(rng.choice(_REPEATS), MOST_BYTES // max(len(piece), 1))
        return data[: one[0]] + piece * times + data[one[1] :]
    if kind < 0.85:
        return data[: one[0]] + data[one[1] :]
    return data[: other[0]] + piece + data[other[0] :]


def _element(data: bytes, tag: re.Match[bytes]) -> tuple[int, int]:
    """Where an element is; one that holds another of its name is cut short."""
    end = b"</" + tag[1] + b">"
    at = -1 if tag[0].endswith(b"/>") else data.find(end, tag.end())
    return tag.start(), tag.end() if at < 0 else at + len(end)


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    begin = rng.randint(0, len(data))
    longest = rng.choice((1, 8, 100, len(data)))
    return begin, min(len(data), begin + rng.randint(0, max(longest, 1)))


def _in_zip(data: bytes, reader: str, rng: random.Random) -> bytes:
    members = _members(data)
    if not members:
        return _outside(data, reader, rng)
    name = max(members, key=lambda member: len(members[member]) * rng.random())
    kind = rng.random()
    if kind < 0.05:
        del members[name]
    elif kind < 0.1:
        members[rng.choice(("WORD\\document.xml", "/content.xml", "word/comments.xml"))] = members[
            name
        ]
    elif kind < 0.7:
        members[name] = _change_element(members[name], reader, rng)
    else:
        members[name] = _outside(members[name], reader, rng)
    return zip_bytes(members)


def _members(data: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            # Only what can be read whole can be written again.
            return {
                info.filename: archive.read(info)
                for info in archive.infolist()
                if info.file_size < MOST_BYTES * 2
            }
    except Exception:
        # The archive is damaged already, and the standard library raises whatever it likes.
        return {}


def _in_stream(data: bytes, reader: str, rng: random.Random) -> bytes:
    found = list(_STREAM.finditer(data[:MOST_BYTES]))
    if not found or rng.random() < 0.3:
        return _change_number(data, reader, rng)
    stream = rng.choice(found)
    content = _outside(stream[1], reader, rng)
    head = data[: stream.start(1)]
    if rng.random() < 0.8:
        length = rb"/Length %d >>" % len(content)
        at = head.rfind(b"/Length")
        head = head[:at] + re.sub(rb"\A/Length \d+ >>", length, head[at:])
    return head + content + data[stream.end(1) :]


_BLIND: tuple[Callable[[bytes, str, random.Random], bytes], ...] = (
    _flip_bits,
    _truncate,
    _splice,
    _duplicate,
    _insert_words,
    _insert_words,
    _change_number,
    _change_element,
)
_INSIDE: dict[str, Callable[[bytes, str, random.Random], bytes]] = {
    "docx": _in_zip,
    "odt": _in_zip,
    "pdf": _in_stream,
}
