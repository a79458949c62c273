"""Damaged files of every format, and the files that once cost a reader too much."""

import random
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.normalise import normalise
from huleedu_dagster.extraction.port import Extraction
from huleedu_dagster.extraction.sandbox import SandboxedExtractor
from huleedu_dagster.extraction.sandbox_limits import SandboxLimits
from tests.factory import nasty
from tests.fuzz.child import Feeder
from tests.fuzz.mutations import made
from tests.fuzz.seeds import READERS
from tests.fuzz.target import broken_promises
from tests.unit.extraction.helpers import code_of, extract, text_of

_ROOT = Path(__file__).parents[3]
_ROUNDS = 300
_WARM_ROUNDS = 100
_MOST_BYTES = 20_000
# Measured: below 6 MiB for the worker and below 1 MiB for this process.
_MOST_GROWTH_MIB = 24


def _resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.M)
    assert found is not None
    return int(found[1]) / 1024


def test_two_thousand_damaged_files_hurt_neither_the_worker_nor_this_process() -> None:
    sandbox = SandboxLimits(workers=1, recycle_tasks=10**6)
    sizes: list[tuple[float, float]] = []
    with SandboxedExtractor(sandbox=sandbox) as extractor:
        extractor.extract(b"hej", "txt")
        (pid,) = extractor.worker_pids
        this = int(Path("/proc/self").resolve().name)
        for number in range(_ROUNDS):
            for reader in READERS:
                data = made(reader, random.Random(f"{reader} {number}"), _MOST_BYTES)
                found = extractor.extract(data, reader)
                assert broken_promises(found) == [], (reader, number)
            sizes.append((_resident_mib(pid), _resident_mib(this)))
        # One worker from the first to the last: none crashed, hung or ran out of memory.
        assert extractor.worker_pids == {pid}
    for before, after in zip(sizes[_WARM_ROUNDS], sizes[-1], strict=True):
        assert after - before < _MOST_GROWTH_MIB


def test_the_same_seed_makes_the_same_files() -> None:
    for reader in READERS:
        one, same, other = (made(reader, random.Random(seed)) for seed in ("1", "1", "2"))
        assert one == same != other


@pytest.mark.parametrize("text", ["a\r", "e\u0301", "a\xad", "a\n\n\nb", " \n", "a\ud800"])
def test_the_fuzzer_sees_a_text_that_breaks_a_promise(text: str) -> None:
    assert broken_promises(Extraction(text=text, format="txt"))
    assert broken_promises(Extraction(text="a", format="txt")) == []


def test_the_fuzzer_keeps_an_input_that_makes_a_reader_raise(tmp_path: Path) -> None:
    def extract_badly(data: bytes) -> Extraction:
        raise ValueError(data)

    feeder = Feeder(tmp_path, extract_badly, guarded=True)
    feeder.feed(b"bad")
    feeder.close()
    (kept,) = (tmp_path / "broken").iterdir()
    assert (kept.name, kept.read_bytes()) == ("0000 raised ValueError", b"bad")
    assert (tmp_path / "log").read_text(encoding="utf-8").startswith("raised ")


@pytest.mark.slow
def test_a_minute_of_guided_fuzzing_finds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--seconds", "8", "--seed", "11"]
    command += ["--folder", str(tmp_path / "found")]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"| {reader} (" in done.stdout for reader in READERS)


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        (nasty.deep_html(), "html"),
        (b"<div><table></div></table>" * 20_000, "html"),
        (b"<svg/><div>" * 20_000, "html"),
        (nasty.many_attributes_html(), "html"),
        (nasty.open_brackets_md(), "md"),
        (b"a ![" * 20_000, "md"),
        (b"a <![CDATA[" * 10_000, "md"),
        (b">" * 90 + b"a\n" + b"b\n" * 10_000, "md"),
        (b"<div>\n" * 60_000, "md"),
        (b"{\\rtf1 " + b"{" * 500_000, "rtf"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value[:12]),
)
def test_what_takes_its_parser_quadratic_time_is_refused(data: bytes, suffix: str) -> None:
    found = extract(data, suffix)
    assert (found.code, found.transient) == (Code.TOO_LARGE, False)


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        (b"a" + b" " * 500_000 + b"b", "txt"),
        (b"a" + "\u0301\u0323".encode() * 200_000, "txt"),
        (b"a" * 500_000 + "\nЖила-была девочка у моря".encode("cp1251"), "txt"),
        (b"<!---->" * 140 + b"x", "unknown"),
        (b"{\\rtf1{\\fonttbl " + b"\\f1\\fcharset1" * 50_000 + b"}x}", "rtf"),
        (b"{\\rtf1{\\fonttbl " + b"\\f1" * 100_000 + b"}x}", "rtf"),
        (b"{\\rtf1 " + b'{\\field{\\*\\FLDINST{HYPERLINK "a"}}{x}}' * 4_000 + b"}", "rtf"),
        (b"<p title='" + b"a=b " * 100_000 + b"'>x</p>", "html"),
        (b"<script>" + b"<div a " * 50_000 + b"</script>x", "html"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value[:12]),
)
def test_what_took_quadratic_time_is_read(data: bytes, suffix: str) -> None:
    # Each took minutes or years; were one slow again, this file of tests would not end.
    assert extract(data, suffix).text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        (b"<div>" * 4_000 + b"x", "x"),
        (b"<p>" * 20_000 + b"x", "x"),
        (b"<ul><li>a</ul>" * 10_000 + b"x", None),
        (b"<DIV><b>a</DIV>" * 10_000, None),
        (b"<svg>" + b"<path d='M0'/>" * 10_000 + b"</svg>x", "x"),
        (b"<p " + b"data-a=b " * 250 + b">x", "x"),
        (b"<!-- " + b"<div>" * 10_000 + b"-->x", "x"),
    ],
)
def test_a_page_that_only_looks_deep_is_read(markup: bytes, text: str | None) -> None:
    found = text_of(markup, "html")
    assert text is None or found == text


def test_a_long_essay_in_markdown_is_read() -> None:
    paragraph = "En mening [1], med *betoning* - och [en länk](http://x) i `kod`: [ ] öppen [.\n\n"
    assert len(text_of((paragraph * 1_500).encode(), "md")) > 75_000


def test_the_caps_on_markup_are_limits_of_an_extraction() -> None:
    from huleedu_dagster.extraction.dispatch import extract_bytes

    small = ExtractionLimits(
        max_markup_depth=3, max_tag_attributes=2, max_markdown_steps=20, max_rtf_tokens=10
    )
    for data, suffix in (
        (b"<div><div><div><div>x", "html"),
        (b"<p a b c>x", "html"),
        (b"*a* " * 20, "md"),
        (b"{\\rtf1{{{{x}}}}}", "rtf"),
        (b"{\\rtf1" + b"\\b" * 9 + b" x}", "rtf"),
    ):
        assert code_of(data, suffix) is None
        assert extract_bytes(data, suffix, small).code is Code.TOO_LARGE


@pytest.mark.parametrize("base", ["e", "ă", "ẵ", "\u1f66", "\u0344", "\ufb2c", "漢", "각"])
@pytest.mark.parametrize("mark", ["\u0301", "\u0303", "\u0301\u0323", "\u0344", "\u0f73"])
def test_combining_marks_beyond_thirty_are_parted_and_stay_so(base: str, mark: str) -> None:
    for times in range(10, 70):
        text = normalise(base + mark * times + "a")
        assert normalise(text) == text
        runs = re.split("\u034f", unicodedata.normalize("NFD", text))
        assert all(sum(map(bool, map(unicodedata.combining, run))) <= 31 for run in runs)


def test_marks_up_to_thirty_are_left_alone() -> None:
    assert normalise("e" + "\u0301" * 30) == "é" + "\u0301" * 29
    assert normalise("x" + "\u0323\u0301" * 15) == "x" + "\u0323" * 15 + "\u0301" * 15
    assert "\u034f" in normalise("x" + "\u0323" * 31)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (rb"{\rtf1 \b\v0 ord}", "ord"),
        (rb"{\rtf1 a\b\deleted0 b\i\v0 c}", "abc"),
        (rb"{\rtf1 \uc ord}", "ord"),
        (rb"{\rtf1 C:\\pictures och C:\\bin ord}", r"C:\pictures och C:\bin ord"),
        (rb"{\rtf1{\fonttbl{\f0 A;}{\f1\fcharset204 T;}}\f0 \'e5\f1 \'e5}", "åе"),
        (rb"{\rtf1{\fonttbl{\f0\fcharset78 A;}}\f0 \'e5}", "å"),
        (b"\xef\xbb\xbf{\\rtf1 ord}", "ord"),
    ],
)
def test_rtf_loses_no_word_to_its_library(source: bytes, text: str) -> None:
    assert text_of(source, "rtf") == text
