"""Reading files: what the sandbox costs, our docx reader against python-docx, and recovery."""

import io
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from benchmarks.framework import Benchmark, Side
from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.extraction.direct import DirectExtractor
from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.port import Extractor
from huleedu_dagster.extraction.readers import docx as docx_reader
from huleedu_dagster.extraction.sandbox import SandboxedExtractor
from huleedu_dagster.extraction.sandbox_limits import SandboxLimits
from tests.factory.documents import docx_bytes, pdf_bytes
from tests.factory.nasty import crashing_pdf, nested_forms_pdf

COUNT = 100
_PARAGRAPHS = 9
_WORDS_OF_A_PARAGRAPH = 55
_VOCABULARY = (
    "a all answer autumn before boat bread candle children corner daughter evening field found "
    "garden harbour heard kitchen lamp letter long many mother mountain never night often over "
    "paper quiet rain read road school sea slowly small stone story summer table teacher then "
    "through tree under village walked water when white window winter with wrote year"
)
_FILES = f"{COUNT} docx and {COUNT} pdf of about {_PARAGRAPHS * _WORDS_OF_A_PARAGRAPH} words"


def benchmarks() -> list[Benchmark]:
    """The benchmarks of reading files."""
    plain = Side(f"the same readers in this process over {_FILES}", _plain)
    return [
        Benchmark(
            name="extraction-sandbox",
            subject=Side(f"warm workers over {_FILES}, one after the other", _guarded),
            baseline=plain,
            note="starting the first worker is not timed, replacing workers is",
            target=0.77,
        ),
        Benchmark(
            name="extraction-two-threads",
            subject=Side(f"warm workers over {_FILES}, two threads", _guarded_by_two),
            baseline=plain,
            note="starting the first two workers is not timed; no target, as it "
            "depends on the processors that are free",
        ),
        Benchmark(
            name="extraction-docx",
            subject=Side(f"our docx reader over {COUNT} docx with styles and runs", _our_docx),
            baseline=Side("the text of the paragraphs by python-docx", _python_docx),
            note="one process, one file after the other",
            target=5,
        ),
        Benchmark(
            name="extraction-recovery",
            subject=Side("one docx after a file that crashed and one that hung", _after_attacks),
            baseline=Side("one docx in a warm worker", _undisturbed),
            note="subject_seconds is the delay of one file; no target for the ratio",
            most_subject_seconds=0.2,
            rounds=11,
        ),
    ]


@cache
def _essays() -> tuple[tuple[bytes, str], ...]:
    rng = random.Random(20261122)
    found = []
    for _ in range(COUNT):
        for build, suffix in ((docx_bytes, "docx"), (pdf_bytes, "pdf")):
            paragraphs = [_paragraph(rng) for _ in range(_PARAGRAPHS)]
            found.append((build(paragraphs), suffix))
    return tuple(found)


def _paragraph(rng: random.Random) -> str:
    words = rng.choices(_VOCABULARY.split(), k=_WORDS_OF_A_PARAGRAPH)
    return " ".join(f"{' '.join(words[at : at + 11])}." for at in range(0, len(words), 11))


@cache
def _saved_docx() -> tuple[bytes, ...]:
    """Documents with the parts of a word processor, and runs where its writer stopped."""
    from docx import Document

    rng = random.Random(20261123)
    found = []
    for _ in range(COUNT):
        document = Document()
        for _ in range(_PARAGRAPHS):
            paragraph, words = document.add_paragraph(), _paragraph(rng).split(" ")
            while words:
                length = rng.randint(3, 20)
                paragraph.add_run(" ".join(words[:length]) + " ").bold = rng.random() < 0.1
                words = words[length:]
        stream = io.BytesIO()
        document.save(stream)
        found.append(stream.getvalue())
    return tuple(found)


@contextmanager
def _plain(_: Path) -> Iterator[Callable[[], object]]:
    extractor = DirectExtractor()
    _read(extractor, _essays()[:2])
    yield lambda: _read(extractor, _essays())


@contextmanager
def _guarded(_: Path) -> Iterator[Callable[[], object]]:
    with SandboxedExtractor() as extractor:
        _read(extractor, _essays()[:2])
        yield lambda: _read(extractor, _essays())


@contextmanager
def _guarded_by_two(_: Path) -> Iterator[Callable[[], object]]:
    halves = _essays()[:COUNT], _essays()[COUNT:]
    with SandboxedExtractor() as extractor, ThreadPoolExecutor(len(halves)) as threads:

        def read() -> None:
            for future in [threads.submit(_read, extractor, half) for half in halves]:
                future.result()

        read()
        yield read


@contextmanager
def _our_docx(_: Path) -> Iterator[Callable[[], object]]:
    files, limits = _saved_docx(), ExtractionLimits()
    docx_reader.read(files[0], limits)
    yield lambda: [docx_reader.read(data, limits).text for data in files]


@contextmanager
def _python_docx(_: Path) -> Iterator[Callable[[], object]]:
    from docx import Document

    files = _saved_docx()

    def read(data: bytes) -> str:
        return "\n".join(it.text for it in Document(io.BytesIO(data)).paragraphs)

    read(files[0])
    yield lambda: [read(data) for data in files]


@contextmanager
def _undisturbed(_: Path) -> Iterator[Callable[[], object]]:
    with SandboxedExtractor() as extractor:
        _read(extractor, _essays()[:1] * 2)
        yield lambda: _read(extractor, _essays()[:1])


@contextmanager
def _after_attacks(_: Path) -> Iterator[Callable[[], object]]:
    with SandboxedExtractor(sandbox=SandboxLimits(wall_seconds=0.3)) as extractor:
        _read(extractor, _essays()[:1] * 2)
        codes = [extractor.extract(it, "pdf").code for it in (crashing_pdf(), nested_forms_pdf())]
        if codes != [Code.PARSER_CRASHED, Code.TIMEOUT]:
            raise RuntimeError(f"the attacks ended with {codes}")
        yield lambda: _read(extractor, _essays()[:1])


def _read(extractor: Extractor, files: Sequence[tuple[bytes, str]]) -> None:
    for data, suffix in files:
        found = extractor.extract(data, suffix)
        if found.text is None:
            raise RuntimeError(f"a file was rejected with {found.code}: {found.message}")
