"""Names of files that mean harm, over a real socket: stored safely or refused, each alone.

The bodies are made by hand, since no honest client sends them.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huleedu_dagster.domain.ids import essay_path
from huleedu_dagster.intake.part_headers import parameters
from tests.intake.forms import BOUNDARY, GOOD, KIND, URL, field, file, form, register
from tests.intake.served import LIMITS, Served, serving

RAW_KEY = re.compile(r"raw_upload_blob/class-a/[0-9a-f]{32}")
OWN = {"spool", "intake-session-key"}
"""What the intake itself keeps in the home."""

REFUSED = {
    "climbs": b"../../etc/passwd",
    "climbs by backslash": rb"..\\..\\windows\\system32",
    "climbs by one backslash": rb"..\..\windows",
    "climbs inside": b"class/../../../etc/passwd",
    "climbs at the end": b"class/..",
    "climbs behind a dot": b"./../x.txt",
    "absolute": b"/etc/passwd",
    "absolute with two": b"//server/share/x.txt",
    "a device": b"/dev/null",
    "a letter of a drive": b"c:x.txt",
    "a stream": b"a:stream.txt",
    "a drive behind a dot": b"./c:/x.txt",
    "a NUL": b"essay.txt\x00.exe",
    "only a NUL": b"\x00",
    "a line feed": b"a\nSet-Cookie: x=y.txt",
    "a tabulator": b"a\tb.txt",
    "an escape": b"\x1b[31mred.txt",
    "a delete": b"a\x7f.txt",
    "a control of latin-1": "a\x9b31m.txt".encode(),
    "four thousand characters": b"x" * 4_000,
    "four thousand of two bytes": "å".encode() * 4_000,
    "four thousand folders": b"x/" * 2_000 + b"y",
    "one character too many": b"x" * 1_025,
    "a surrogate": b"\xed\xa0\x80.txt",
    "not UTF-8": b"\xff\x80.txt",
    "a dot": b".",
    "two dots": b"..",
    "slashes": b"///",
    "spaces": b"   ",
    "a folder of spaces": b"class/ /essay.txt",
    "a space that does not break": "\u00a0".encode(),
    "a dot and a slash": b"./",
}
IGNORED = {
    "three dots": b"...",
    "hidden": b".bashrc",
    "hidden above": b".ssh/authorized_keys",
    "litter": b"__MACOSX/essay.txt",
    "a lock": b"~$essay.docx",
}
KEPT = {
    "percent climbs": b"%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "percent NUL": b"essay%00.txt",
    "percent line break": b"a%0d%0aSet-Cookie: x=y.txt",
    "turned": "\u202etxt.exe".encode(),
    "embedded": "\u202a\u202b\u2066\u2069a\u200b.txt".encode(),
    "a mark of order": "\ufeffessay.txt".encode(),
    "lines of Unicode": "a\u2028b\u2029c.txt".encode(),
    "quotation marks": rb"say \"hi\"; filename=\"x.txt\"",
    "quotations of browsers": b"say %22hi%22.txt",
    "markup": b"<script>alert(1)</script><img src=x onerror=alert(1)>.txt",
    "a shell": b"$(rm -rf ~); `id` | cat > x && y.txt",
    "a query": b"x'; DROP TABLE uploads; --.txt",
    "a template": b"{{7*7}}${7*7}<%= 7 %>.txt",
    "a format": b"%s%n%d{0}.txt",
    "Windows' devices": b"CON",
    "Windows' devices with suffix": b"aux.txt",
    "a name that ends in dots": b"essay.txt...",
    "a name that ends in a space": b"essay.txt ",
    "an emoji": "👩‍🎓 essay 🇸🇪.txt".encode(),
    "many marks": ("e" + "\u0301" * 500 + ".txt").encode(),
    "upper case": b"ESSAY.TXT",
    "lower case": b"essay.txt",
    "latin-1": b"\xe5sa.txt",
    "right to left": "\u05d0\u05d1\u05d2.txt".encode(),
    "as long as may be": b"y" * 1_024,
    "a full path of Windows": rb"C:\Users\anna\essay of anna.docx",
    "a key of the store": b"raw_upload_blob/class-a/00000000000000000000000000000000",
    "the ledger": b"ledger.db",
}


@pytest.fixture
def teacher(served: Served) -> httpx.Client:
    """A client with a registered batch."""
    client = served.teacher()
    register(client)
    return client


def send(client: httpx.Client, *parts: bytes) -> httpx.Response:
    """Hand in parts of a form that were made by hand."""
    return client.post(URL, content=form(field("batch_id", "class-a"), *parts), headers=KIND)


def extended(value: str) -> bytes:
    """A file that has a name only in the form of RFC 8187."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename*={value}'
    return head.encode() + b"\r\n\r\n" + GOOD + b"\r\n"


def outside(folder: Path) -> set[Path]:
    """Everything there is but the store's blobs, the ledger's files and their folders."""
    return {
        it
        for it in folder.rglob("*")
        if not it.name.startswith("ledger.db") and "blobs" not in it.relative_to(folder).parts
    }


def check_store(served: Served, count: int) -> None:
    """Check that the store holds so many files, under keys that no name had a part in."""
    keys = served.shop.blob_hashes()
    assert len(keys) == count
    assert all(RAW_KEY.fullmatch(it) for it in keys)
    assert {it.name for it in outside(served.shop.folder)} <= OWN


def check_download(client: httpx.Client, slot: str) -> None:
    """Check that an essay downloads under a name that is harmless on every system."""
    answer = client.get(f"/v1/batches/class-a/essays/{slot}/raw")
    assert (answer.status_code, answer.content) == (200, GOOD)
    header = answer.headers["Content-Disposition"]
    assert header.isascii()
    assert header.isprintable()
    kind, found = parameters(header)
    assert (kind, set(found)) == ("attachment", {"filename", "filename*"})
    charset, _, encoded = found["filename*"].split("'")
    assert charset == "UTF-8"
    for name in (found["filename"], unquote_to_bytes(encoded).decode()):
        assert name.startswith(f"{slot}-")
        assert len(name) <= 110
        assert not set(name) & set('<>:"/\\|?*')
        assert not any(unicodedata.category(it)[0] == "C" for it in name)
    assert {"set-cookie", "x"}.isdisjoint(answer.headers)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def each(*groups: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Names with what is wrong with them, group by group."""
    for group in groups:
        yield from group.items()


def requests_of(names: list[tuple[str, bytes]], most: int) -> Iterator[list[tuple[str, bytes]]]:
    """The names in requests of a few."""
    for begin in range(0, len(names), most):
        yield names[begin : begin + most]


def test_each_name_is_refused_with_a_sentence_or_kept_and_costs_no_other_file(
    served: Served, teacher: httpx.Client
) -> None:
    kept = 0
    for number, names in enumerate(requests_of(list(each(REFUSED, IGNORED, KEPT)), 10)):
        last = f"good-{number}.txt"
        answer = send(teacher, *(file(it, GOOD) for _, it in names), file(last.encode(), GOOD))
        assert answer.status_code in (201, 207), answer.text
        *found, good = answer.json()["files"]
        assert (good["file_name"], good["status"]) == (last, "new_essay")
        kept += 1
        for (why, _), it in zip(names, found, strict=True):
            if why in KEPT:
                assert (it["status"], it["code"], it["message"]) == ("new_essay", None, ""), why
                check_download(teacher, it["essay_id"])
                kept += 1
            else:
                refused = why in REFUSED
                assert it["status"] == ("refused" if refused else "ignored"), why
                assert it["code"] == ("INVALID_NAME" if refused else None), why
                assert it["message"].endswith(
                    "Rename the file and hand it in again." if refused else "are left out."
                )
                assert it["upload_id"] is it["essay_id"] is it["sha256"] is None, why
    check_store(served, kept)
    names_told = {it["file_name"] for it in teacher.get("/v1/batches/class-a").json()["essays"]}
    assert names_told > {"\u202etxt.exe", "essay of anna.docx", 'say "hi"; filename="x.txt"'}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("UTF-8''%2e%2e%2f%2e%2e%2fetc%2fpasswd", None),
        ("UTF-8''%2Fetc%2Fpasswd", None),
        ("UTF-8''%00.txt", None),
        ("UTF-8''a%0d%0aSet-Cookie:%20x=y.txt", None),
        ("UTF-8''" + "x" * 4_000, None),
        ("UTF-8''%ED%A0%80.txt", None),
        ("UTF-8''%FF%80.txt", None),
        ("UTF-8''C%3A%5Cx%5Cb.txt", "b.txt"),
        ("UTF-8''%E2%80%AEtxt.exe", "\u202etxt.exe"),
        ("UTF-8''a%2525.txt", "a%25.txt"),
        ("UTF-8''%E5sa.txt", "\u00e5sa.txt"),
        ("UTF-8''%22%3Bx%3D%22.txt", '";x=".txt'),
    ],
)
def test_an_extended_name_is_decoded_once_and_then_as_any_other(
    served: Served, teacher: httpx.Client, value: str, expected: str | None
) -> None:
    answer = send(teacher, extended(value), file(b"good.txt", GOOD))
    found, good = answer.json()["files"]
    assert good["status"] == "new_essay"
    if expected is None:
        assert (found["status"], found["code"]) == ("refused", "INVALID_NAME")
        check_store(served, 1)
    else:
        assert (found["status"], found["file_name"]) == ("new_essay", expected)
        check_download(teacher, found["essay_id"])
        check_store(served, 2)


@pytest.mark.parametrize(
    "head",
    [
        b'filename="a\r\nSet-Cookie: x=y\r\nX: ".txt"',
        b'filename="a\rb.txt"',
        b'filename="a"b.txt"',
        b'filename="open.txt',
        b'filename*0="a"; filename*1=".txt"',
        b"filename*=UTF-8''%zz.txt",
        b'filename="a.txt"; filename="../b.txt"',
    ],
)
def test_a_header_that_cannot_be_read_loses_nothing_that_came_before(
    served: Served, teacher: httpx.Client, head: bytes
) -> None:
    bad = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; '.encode() + head
    answer = send(teacher, file(b"good.txt", GOOD), bad + b"\r\n\r\nx\r\n")
    assert (answer.status_code, answer.json()["code"]) == (400, "MALFORMED_REQUEST")
    assert "set-cookie" not in answer.headers
    assert "Set-Cookie" not in answer.text
    (kept,) = teacher.get("/v1/batches/class-a").json()["essays"]
    assert kept["file_name"] == "good.txt"
    check_store(served, 1)


def test_composed_and_decomposed_letters_are_the_same_essay(teacher: httpx.Client) -> None:
    composed, decomposed = (unicodedata.normalize(it, "Åsa Öberg.txt") for it in ("NFC", "NFD"))
    assert composed != decomposed
    answer = send(
        teacher,
        file(composed.encode(), GOOD),
        file(decomposed.encode(), GOOD),
        file(decomposed.encode(), GOOD + b" More."),
        extended("UTF-8''" + quote(decomposed)),
    )
    found = answer.json()["files"]
    statuses = [it["status"] for it in found]
    assert statuses == ["new_essay", "unchanged", "new_version", "new_version"]
    assert {it["essay_id"] for it in found} == {"e001"}
    (kept,) = teacher.get("/v1/batches/class-a").json()["essays"]
    assert kept["file_name"] == composed


def test_names_that_differ_in_case_are_two_essays(served: Served, teacher: httpx.Client) -> None:
    names = [b"Essay.txt", b"essay.txt", b"ESSAY.TXT", "straße.txt".encode(), b"strasse.txt"]
    found = send(teacher, *(file(it, GOOD) for it in names)).json()["files"]
    assert [it["essay_id"] for it in found] == [f"e00{it}" for it in range(1, 6)]
    check_store(served, 5)


# What names are attacked with, so that near misses are common.
name = st.lists(
    st.sampled_from(
        [
            "..",
            "/",
            "\\",
            ".",
            "C:",
            "%2e",
            "%00",
            "\x00",
            "\r",
            "\n",
            "\u202e",
            "\u0301",
            "~$",
            "'",
        ]
    )
    | st.text(max_size=4),
    min_size=1,
    max_size=8,
).map("".join)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, httpx.Client]]:
    """One intake for all generated names."""
    folder = tmp_path_factory.mktemp("names")
    with serving(folder, replace(LIMITS, max_pending=10_000)) as served:
        yield served, served.teacher()


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(names=st.lists(name, min_size=1, max_size=8))
def test_whatever_a_name_is_made_of_it_is_kept_or_refused(
    place: tuple[Served, httpx.Client], names: list[str]
) -> None:
    served, client = place
    batch = client.post("/v1/batches/register", json={}).json()["batch_id"]
    parts = [extended("UTF-8''" + quote(it, safe="", errors="replace")) for it in names]
    body = form(field("batch_id", batch), *parts, file(b"good.txt", GOOD))
    answer = client.post(URL, content=body, headers=KIND)
    assert answer.status_code in (201, 207), answer.text
    *found, good = answer.json()["files"]
    assert good["status"] in ("new_essay", "unchanged")
    assert len(found) == len(names)
    for it in found:
        kept = it["status"] in ("new_essay", "unchanged")
        assert kept == (it["upload_id"] is not None)
        assert kept or it["message"]
    told = {it["file_name"] for it in client.get(f"/v1/batches/{batch}").json()["essays"]}
    assert all(essay_path(it) == it for it in told)
    assert {it.name for it in outside(served.shop.folder)} <= OWN
