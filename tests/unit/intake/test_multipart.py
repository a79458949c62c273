"""Forms with files, read from plain bytes that are cut anywhere."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huleedu_dagster.intake.multipart import (
    BadMultipartError,
    MultipartEvent,
    MultipartLimits,
    MultipartTooLargeError,
    PartBegin,
    PartData,
    PartEnd,
    boundary_of,
    read_multipart,
)

BOUNDARY = b"a-boundary"
LIMITS = MultipartLimits(request_bytes=1_000_000, file_bytes=100_000, files=20)
ESSAY = b'Content-Disposition: form-data; name="files"; filename="essay.txt"'

Part = tuple[bytes, bytes]
Found = list[tuple[PartBegin, bytes, bool]]


def form(*parts: Part, end: bytes = b"--\r\n") -> bytes:
    """A body; each part is its headers and its content."""
    lines = [b"--" + BOUNDARY + b"\r\n" + head + b"\r\n\r\n" + data for head, data in parts]
    return b"".join(it + b"\r\n" for it in lines) + b"--" + BOUNDARY + end


def named(parameters: str) -> bytes:
    return form((b'Content-Disposition: form-data; name="files"; ' + parameters.encode(), b"x"))


async def chunked(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def events_of(
    chunks: Iterable[bytes], limits: MultipartLimits = LIMITS
) -> tuple[list[MultipartEvent], Exception | None]:
    """The events, and the error that ended them."""
    found: list[MultipartEvent] = []

    async def read() -> Exception | None:
        try:
            async for event in read_multipart(chunked(chunks), BOUNDARY, limits):
                found.append(event)
        except BadMultipartError as error:
            return error
        return None

    return found, asyncio.run(read())


def parts_of(events: list[MultipartEvent]) -> Found:
    """The parts that came whole, with their content in one piece and whether it was too large."""
    found: Found = []
    begun, data = PartBegin("", None), b""
    for event in events:
        match event:
            case PartBegin():
                begun, data = event, b""
            case PartData():
                assert event.data
                data += event.data
            case PartEnd():
                found.append((begun, data, event.too_large))
    return found


def parsed(body: bytes, limits: MultipartLimits = LIMITS) -> Found:
    events, error = events_of([body], limits)
    if error is not None:
        raise error
    return parts_of(events)


def filename_of(parameters: str) -> str | None:
    ((begun, _, _),) = parsed(named(parameters))
    return begun.filename


def cut(body: bytes, places: Iterable[int]) -> list[bytes]:
    marks = [0, *sorted(places), len(body)]
    return [body[start:end] for start, end in pairwise(marks)]


WHOLE = form(
    (b'Content-Disposition: form-data; name="batch_id"', b"class-a"),
    (ESSAY + b"\r\nContent-Type: text/plain", b"line\r\n\r\n--a-bound\r\n--a-boundary!\r\n-"),
    (b"content-disposition: form-data; name=files; filename=empty.txt", b""),
    (
        b"Content-Disposition: form-data; name=\"files\"; filename*=UTF-8''%C3%A5.txt",
        b"\r\n--a-boundary-x\r\n--a-boundary\rx",
    ),
)
BODIES = {
    "whole": WHOLE,
    "after line breaks": b"\r\n\n" + WHOLE,
    "with an epilogue": WHOLE + b"\r\n--a-boundary\r\nmore",
    "no parts": b"--a-boundary--\r\n",
    "padded boundary": WHOLE.replace(b"\r\n--a-boundary\r\n", b"\r\n--a-boundary \t\r\n"),
    "bare": b"--a-boundary--",
}
BAD_BODIES = {
    "empty": b"",
    "nothing but line breaks": b"\r\n\r\n",
    "cut short": WHOLE[:-6],
    "cut in a header": WHOLE[:30],
    "a preamble": b"preamble\r\n" + WHOLE,
    "a preamble after a line break": b"\r\npreamble\r\n" + WHOLE,
    "another boundary": WHOLE.replace(b"a-boundary", b"b-boundary"),
    "no disposition": form((b"Content-Type: text/plain", b"x")),
    "two dispositions": form((ESSAY + b"\r\n" + ESSAY, b"x")),
    "no name": form((b'Content-Disposition: form-data; filename="a.txt"', b"x")),
    "two names of files": form((ESSAY + b'; filename="other.txt"', b"x")),
    "an attachment": form((ESSAY.replace(b"form-data", b"attachment"), b"x")),
    "no value": form((ESSAY.replace(b"form-data", b""), b"x")),
    "an open quotation": form((ESSAY[:-1], b"x")),
    "no colon": form((b"Content-Disposition", b"x")),
    "a bare line feed": form((ESSAY, b"x")).replace(b"\r\n", b"\n"),
    "a continued name": form((ESSAY.replace(b"filename=", b"filename*0="), b"x")),
    "encoded for transfer": form((ESSAY + b"\r\nContent-Transfer-Encoding: base64", b"eA==")),
    "a header too many": form((ESSAY + b"".join(b"\r\nX-%d: y" % it for it in range(8)), b"x")),
    "a header too long": form((ESSAY + b"\r\nX: " + b"y" * 70_000, b"x")),
    "a bad part after a good one": form((ESSAY, b"x"), (b"X: y", b"x")),
}


def test_the_parts_of_a_form_come_with_their_names_and_bytes() -> None:
    assert parsed(WHOLE) == [
        (PartBegin("batch_id", None), b"class-a", False),
        (
            PartBegin("files", "essay.txt"),
            b"line\r\n\r\n--a-bound\r\n--a-boundary!\r\n-",
            False,
        ),
        (PartBegin("files", "empty.txt"), b"", False),
        (PartBegin("files", "å.txt"), b"\r\n--a-boundary-x\r\n--a-boundary\rx", False),
    ]
    for name in ("after line breaks", "with an epilogue", "padded boundary"):
        assert parsed(BODIES[name]) == parsed(WHOLE), name
    assert parsed(BODIES["no parts"]) == parsed(BODIES["bare"]) == []


@pytest.mark.parametrize("name", BODIES)
def test_a_body_in_two_chunks_cut_at_any_place_is_the_same_form(name: str) -> None:
    body = BODIES[name]
    expected = parsed(body)
    for place in range(len(body) + 1):
        events, error = events_of(cut(body, [place]))
        assert (parts_of(events), error) == (expected, None), place


@pytest.mark.parametrize("name", BODIES)
def test_a_body_byte_by_byte_is_the_same_form(name: str) -> None:
    body = BODIES[name]
    events, error = events_of(cut(body, range(1, len(body))))
    assert (parts_of(events), error) == (parsed(body), None)


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_malformed_body_is_one_kind_of_error_wherever_it_is_cut(name: str) -> None:
    body = BAD_BODIES[name]
    events, error = events_of([body])
    assert type(error) is BadMultipartError
    step = max(1, len(body) // 300)
    for place in range(0, len(body), step):
        other, again = events_of(cut(body, [place]))
        assert type(again) is BadMultipartError, place
        assert parts_of(other) == parts_of(events), place


def test_what_came_whole_before_the_fault_is_given() -> None:
    events, error = events_of([BAD_BODIES["a bad part after a good one"]])
    assert parts_of(events) == [(PartBegin("files", "essay.txt"), b"x", False)]
    assert error is not None


# Pieces of which boundaries are made, so that near misses are common.
content = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", b"a-boundar", b"y", b"x", BOUNDARY])
    | st.binary(max_size=5),
    max_size=12,
).map(b"".join)


def is_content(data: bytes) -> bool:
    """Whether no line begins with the boundary, as RFC 2046 asks of the sender."""
    return b"\r\n--" + BOUNDARY not in b"\r\n" + data


@settings(max_examples=150, deadline=None)
@given(
    contents=st.lists(content.filter(is_content), max_size=4),
    places=st.lists(st.integers(0, 600), max_size=12),
)
def test_any_content_cut_anyhow_comes_back_as_it_was(
    contents: list[bytes], places: list[int]
) -> None:
    body = form(*((ESSAY, data) for data in contents))
    events, error = events_of(cut(body, [min(it, len(body)) for it in places]))
    assert error is None
    assert [data for _, data, _ in parts_of(events)] == contents


@settings(max_examples=200, deadline=None)
@given(
    body=st.lists(
        st.sampled_from([b"--" + BOUNDARY, ESSAY, b"\r\n", b"--", b"X: y", b":", b"\r", b"x", b"="])
        | st.binary(max_size=4),
        max_size=25,
    ).map(b"".join),
    places=st.lists(st.integers(0, 400), max_size=8),
)
def test_a_body_of_anything_is_read_or_refused_the_same_however_it_is_cut(
    body: bytes, places: list[int]
) -> None:
    events, error = events_of([body])
    other, again = events_of(cut(body, [min(it, len(body)) for it in places]))
    assert type(again) is type(error)
    assert parts_of(other) == parts_of(events)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ('filename="essay.docx"', "essay.docx"),
        ("filename=essay.docx", "essay.docx"),
        ("filename=my essay.docx", "my essay.docx"),
        ("FileName = essay.docx ;", "essay.docx"),
        ('filename=""', ""),
        ('filename="a;b=c, d.txt"', "a;b=c, d.txt"),
        ('filename="Åsa Öberg 🎓.docx"', "Åsa Öberg 🎓.docx"),
        (r'filename="say \"hi\".txt"', 'say "hi".txt'),
        (r'filename="back\\slash.txt"', "back\\slash.txt"),
        (r'filename="class\anna\essay.docx"', r"class\anna\essay.docx"),
        ('filename="class/anna/essay.docx"', "class/anna/essay.docx"),
        (r'filename="C:\Users\anna\essay.docx"', "essay.docx"),
        (r'filename="C:\\Users\\anna\\essay.docx"', "essay.docx"),
        ('filename="D:/anna/essay.docx"', "essay.docx"),
        (r'filename="\\server\class\essay.docx"', "essay.docx"),
        ('filename="../../etc/passwd"', "../../etc/passwd"),
        ('filename="/etc/passwd"', "/etc/passwd"),
        ("filename*=UTF-8''%C3%A5sa%20%C3%B6.txt", "åsa ö.txt"),
        ("filename*=utf-8'sv'%c3%a5.txt", "å.txt"),
        ("filename*=ISO-8859-1''%E5.txt", "å.txt"),
        ("filename=\"a.txt\"; filename*=UTF-8''%C3%A5.txt", "å.txt"),
        ("filename*=UTF-8''%C3%A5.txt; filename=\"a.txt\"", "å.txt"),
        ("filename=\"a.txt\"; filename*=UTF-8''%C3.txt", "a.txt"),
        ("filename=\"a.txt\"; filename*=UTF-8''%ZZ.txt", "a.txt"),
        ("filename=\"a.txt\"; filename*=UTF-7''b.txt", "a.txt"),
        ("filename=\"a.txt\"; filename*=UTF-8''C%3A%5Cx%5Cb.txt", "b.txt"),
        ("filename*=UTF-8''%E5.txt", "å.txt"),
    ],
)
def test_the_name_of_a_file_is_read_in_the_forms_that_senders_use(
    parameters: str, expected: str
) -> None:
    assert filename_of(parameters) == expected


@pytest.mark.parametrize("name", ["100%25.txt", "say %22hi%22.txt", "%C3%A5.txt", "=?utf-8?q?a?="])
def test_a_plain_name_is_never_decoded_a_second_time(name: str) -> None:
    assert filename_of(f'filename="{name}"') == name


def test_an_extended_name_is_decoded_once() -> None:
    assert filename_of("filename*=UTF-8''100%2525.txt") == "100%25.txt"


def test_a_name_that_is_not_utf8_is_latin1() -> None:
    head = b'Content-Disposition: form-data; name="files"; filename="\xe5sa.txt"'
    ((begun, _, _),) = parsed(form((head, b"x")))
    assert begun.filename == "åsa.txt"


def test_a_name_with_control_characters_or_of_any_length_does_not_cost_its_neighbours() -> None:
    names = ["a\x00b.txt", "a\nb.txt", "a\u202eb.txt", "å" * 4_000]
    heads = [f'Content-Disposition: form-data; name="f"; filename="{it}"' for it in names]
    found = parsed(form(*((it.encode(), b"x") for it in heads), (ESSAY, b"y")))
    assert [begun.filename for begun, _, _ in found] == [*names, "essay.txt"]


def test_a_file_that_is_too_large_is_refused_alone() -> None:
    limits = MultipartLimits(request_bytes=10_000, file_bytes=10, files=9)
    body = form((ESSAY, b"0123456789"), (ESSAY, b"0123456789a"), (ESSAY, b"b"))
    expected = [(b"0123456789", False), (b"0123456789", True), (b"b", False)]
    for chunks in ([body], cut(body, range(1, len(body)))):
        events, error = events_of(chunks, limits)
        assert error is None
        assert [(data, large) for _, data, large in parts_of(events)] == expected


@pytest.mark.parametrize(
    ("limits", "body"),
    [
        (MultipartLimits(500, 500, 2), form(*[(ESSAY, b"x")] * 3)),
        (MultipartLimits(300, 500, 9), form((ESSAY, b"x"), (ESSAY, b"y" * 300))),
        (MultipartLimits(len(WHOLE) - 1, 500, 9), WHOLE),
        (MultipartLimits(len(WHOLE), 500, 9), WHOLE + b"\r\n"),
        (MultipartLimits(500, 500, 9, field_bytes=6), WHOLE),
        (MultipartLimits(500, 500, 9, fields=0), WHOLE),
    ],
    ids=["files", "bytes", "one byte", "epilogue", "bytes of a field", "fields"],
)
def test_a_request_over_a_limit_is_refused_wherever_it_is_cut(
    limits: MultipartLimits, body: bytes
) -> None:
    events, error = events_of([body], limits)
    assert type(error) is MultipartTooLargeError
    for place in range(len(body) + 1):
        other, again = events_of(cut(body, [place]), limits)
        assert type(again) is MultipartTooLargeError
        assert parts_of(other) == parts_of(events)


def test_a_form_at_its_limits_is_taken() -> None:
    body = form((ESSAY, b"0123456789"), (b"Content-Disposition: form-data; name=n", b"v"))
    limits = MultipartLimits(len(body), 10, 1, field_bytes=1, fields=1, headers=1, header_bytes=80)
    assert len(parsed(body, limits)) == 2


def test_data_is_given_while_the_body_still_arrives() -> None:
    """Not more than a chunk is held back: each megabyte is out before the next comes in."""
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        yield form((ESSAY, b""))[: -len(b"\r\n--a-boundary--\r\n")]
        for number in range(20):
            assert taken >= number * 2**20 - len(BOUNDARY) - 4
            yield b"x" * 2**20
        yield b"\r\n--a-boundary--"

    async def read() -> None:
        nonlocal taken
        limits = MultipartLimits(2**25, 2**25, 1)
        async for event in read_multipart(endless(), BOUNDARY, limits):
            taken += len(event.data) if isinstance(event, PartData) else 0

    asyncio.run(read())
    assert taken == 20 * 2**20


def test_an_error_of_the_connection_is_not_made_into_another() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield WHOLE[:50]
        raise ConnectionResetError

    async def read() -> None:
        async for _ in read_multipart(broken(), BOUNDARY, LIMITS):
            pass

    with pytest.raises(ConnectionResetError):
        asyncio.run(read())


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b:c"', b"a b:c"),
        ("multipart/form-data;boundary=----WebKitFormBoundary7MA", b"----WebKitFormBoundary7MA"),
    ],
)
def test_the_boundary_is_found_in_the_content_type(header: str, expected: bytes) -> None:
    assert boundary_of(header) == expected


@pytest.mark.parametrize(
    "header",
    [
        "",
        "text/plain; boundary=abc",
        "multipart/mixed; boundary=abc",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "a" * 71,
        'multipart/form-data; boundary="abc "',
        'multipart/form-data; boundary="a\r\nb"',
        'multipart/form-data; boundary="å"',
        'multipart/form-data; boundary="abc',
        "multipart/form-data; boundary=a; boundary=b",
    ],
)
def test_a_content_type_without_a_usable_boundary_is_refused(header: str) -> None:
    with pytest.raises(BadMultipartError):
        boundary_of(header)
