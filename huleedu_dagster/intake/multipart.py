"""Bodies of the type multipart/form-data (RFC 7578), read while they arrive.

`read_multipart` turns chunks of a body into events, however the body was cut. The parser of
python-multipart finds boundaries and headers; limits, names of files and the rules for bodies that
are refused are here.
"""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from huleedu_dagster.intake.part_headers import BadHeaderError, Disposition, disposition, parameters

if TYPE_CHECKING:
    from python_multipart import MultipartParser

_BOUNDARY_CHARS = frozenset(
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'()+_,-./:=? "
)
_MAX_BOUNDARY = 70
_PLAIN_ENCODINGS = frozenset({"7bit", "8bit", "binary"})


class BadMultipartError(ValueError):
    """The body is not a form that this reader takes. The message repeats nothing of the body."""


class MultipartTooLargeError(BadMultipartError):
    """The body is over a limit that holds for the request as a whole."""


@dataclass(frozen=True, slots=True)
class MultipartLimits:
    """How much one request may carry.

    Attributes:
        request_bytes: The whole body, with its boundaries and headers.
        file_bytes: One file. A larger one is refused alone: see `PartEnd`.
        files: Files of one request.
        field_bytes: The value of one field that is no file.
        fields: Fields of one request that are no files.
        headers: Headers of one part.
        header_bytes: One header of a part, name and value.
    """

    request_bytes: int
    file_bytes: int
    files: int
    field_bytes: int = 65_536
    fields: int = 100
    headers: int = 8
    header_bytes: int = 65_536


@dataclass(frozen=True, slots=True)
class PartBegin:
    """A part begins.

    Attributes:
        name: Name of the form's field.
        filename: Name of the file as `Disposition.filename` describes it, not yet checked against
            the grammar of paths; empty for a file field in which nothing was chosen; `None` for a
            field that is no file.
    """

    name: str
    filename: str | None


@dataclass(frozen=True, slots=True)
class PartData:
    """The next bytes of the part that began last; never empty."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part is there as a whole.

    Attributes:
        too_large: The file is over `MultipartLimits.file_bytes`; what was given of it is its
            beginning only and must not be kept.
    """

    too_large: bool


MultipartEvent = PartBegin | PartData | PartEnd


def boundary_of(content_type: str) -> bytes:
    """The boundary that a Content-Type header names.

    Raises:
        BadMultipartError: The type is another one, or the boundary breaks RFC 2046.
    """
    try:
        kind, found = parameters(content_type)
    except BadHeaderError as error:
        raise BadMultipartError(str(error)) from error
    if kind != "multipart/form-data":
        raise BadMultipartError("the body is not multipart/form-data")
    boundary = found.get("boundary", "")
    if not 1 <= len(boundary) <= _MAX_BOUNDARY or boundary.endswith(" "):
        raise BadMultipartError("the boundary has 1 to 70 characters and does not end in a space")
    if not _BOUNDARY_CHARS.issuperset(boundary):
        raise BadMultipartError("the boundary holds a character that RFC 2046 does not allow")
    return boundary.encode("ascii")


async def read_multipart(
    body: AsyncIterable[bytes], boundary: bytes, limits: MultipartLimits
) -> AsyncIterator[MultipartEvent]:
    """The events of a body: for each part `PartBegin`, any `PartData`, `PartEnd`.

    A part is whole only at its `PartEnd`, and the form only when the iteration ends by itself.
    Not more than one chunk and one part's headers are held in memory.

    Args:
        body: The body in chunks of any size.
        boundary: What `boundary_of` found.
        limits: Limits of the request.

    Raises:
        BadMultipartError: The body is malformed, or ends before its last boundary.
        MultipartTooLargeError: The request is over one of its limits.
    """
    reader = _Reader(boundary, limits)
    async for chunk in body:
        problem = reader.feed(chunk)
        # What came before the fault came whole, wherever the chunk was cut.
        for event in reader.take():
            yield event
        if problem is not None:
            raise problem
    reader.check_ended()


class _Reader:
    """Collects the events of one body; fed with chunks."""

    def __init__(self, boundary: bytes, limits: MultipartLimits) -> None:
        self._limits = limits
        self._parser = self._new_parser(boundary)
        self._events: list[MultipartEvent] = []
        self._size = 0
        self._started = False
        self._ended = False
        self._files = 0
        self._fields = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._name = bytearray()
        self._value = bytearray()
        self._part = Disposition(name="", filename=None)
        self._part_size = 0
        self._part_limit = 0

    def feed(self, chunk: bytes) -> BadMultipartError | None:
        """Read a chunk; what is wrong with it is returned, since events may come before it."""
        from python_multipart.exceptions import FormParserError

        room = self._limits.request_bytes - self._size
        self._size += len(chunk)
        readable = chunk[:room] if len(chunk) > room else chunk
        if not self._started:
            # The parser's own skipping of a preamble depends on where the body was cut.
            readable = readable.lstrip(b"\r\n")
            self._started = bool(readable)
        try:
            self._parser.write(readable)
        except BadMultipartError as error:
            return error
        except FormParserError as error:
            problem = BadMultipartError("the body is not a well-formed multipart form")
            problem.__cause__ = error
            return problem
        if len(chunk) > room:
            return MultipartTooLargeError("the request is larger than is taken in")
        return None

    def take(self) -> list[MultipartEvent]:
        """The events since this was asked last."""
        taken, self._events = self._events, []
        return taken

    def check_ended(self) -> None:
        """Raise `BadMultipartError` unless the last boundary has come."""
        if not self._ended:
            raise BadMultipartError("the body ends before its last boundary")

    def _new_parser(self, boundary: bytes) -> "MultipartParser":
        from python_multipart import MultipartParser

        return MultipartParser(
            boundary,
            {
                "on_header_begin": self._on_header_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
            max_header_count=self._limits.headers,
            max_header_size=self._limits.header_bytes,
        )

    def _on_header_begin(self) -> None:
        self._name, self._value = bytearray(), bytearray()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers.append((bytes(self._name), bytes(self._value)))

    def _on_headers_finished(self) -> None:
        headers, self._headers = self._headers, []
        try:
            self._part = _disposition_of(headers)
        except BadHeaderError as error:
            raise BadMultipartError(str(error)) from error
        self._part_size = 0
        self._count_part()
        self._events.append(PartBegin(self._part.name, self._part.filename))

    def _count_part(self) -> None:
        if self._part.filename is None:
            self._fields += 1
            self._part_limit = self._limits.field_bytes
        else:
            self._files += 1
            self._part_limit = self._limits.file_bytes
        if self._files > self._limits.files or self._fields > self._limits.fields:
            raise MultipartTooLargeError("the request has more parts than are taken in")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        room = max(0, self._part_limit - self._part_size)
        self._part_size += end - start
        if self._part_is_too_large() and self._part.filename is None:
            raise MultipartTooLargeError("the value of a field is larger than is taken in")
        readable = data[start : min(end, start + room)]
        if readable:
            self._events.append(PartData(readable))

    def _on_part_end(self) -> None:
        self._events.append(PartEnd(too_large=self._part_is_too_large()))

    def _part_is_too_large(self) -> bool:
        return self._part_size > self._part_limit

    def _on_end(self) -> None:
        self._ended = True


def _disposition_of(headers: list[tuple[bytes, bytes]]) -> Disposition:
    found: dict[str, bytes] = {}
    for name, value in headers:
        key = name.decode("ascii").lower()
        if key in found:
            raise BadHeaderError("a part has the same header twice")
        found[key] = value
    encoding = found.get("content-transfer-encoding", b"binary").strip().lower()
    if encoding.decode("latin-1") not in _PLAIN_ENCODINGS:
        # RFC 7578 4.7 deprecates them; bytes would be stored that the sender never had.
        raise BadHeaderError("a part is encoded for transfer, which forms over HTTP are not")
    if "content-disposition" not in found:
        raise BadHeaderError("a part has no Content-Disposition")
    return disposition(found["content-disposition"])
