"""The pdf reader against pdfminer.six, over the same generated essays."""

import io
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.framework import Benchmark, Side
from huleedu_dagster.extraction.limits import ExtractionLimits
from tests.factory.pdf import pdf_bytes
from tests.factory.pdf_reportlab import all_layouts, prose, set_essay

COUNT = 50
WORDS = 500
SEED = 20261122


def benchmarks() -> list[Benchmark]:
    """The benchmarks of the pdf reader."""
    return [
        Benchmark(
            name="extraction-pdf",
            subject=Side("the pdf reader, in this process", _our_reader),
            baseline=Side("pdfminer.six, extract_text", _pdfminer),
            note=(
                f"{COUNT} files of about {WORDS} words by two producers, one to three columns; "
                "the subject also finds columns and paragraphs and leaves out running heads; "
                "making the files and imports are not timed"
            ),
            target=8,
        )
    ]


def essays() -> list[bytes]:
    """The files that are read: half by the hand-written producer, half by reportlab."""
    rng = random.Random(SEED)
    layouts = all_layouts()
    found = []
    for number in range(COUNT):
        layout = layouts[(number * 7) % len(layouts)]
        paragraphs = prose(rng, WORDS, hyphenated=layout.hyphenated and number % 2 == 0)
        plain = number % 2
        found.append(pdf_bytes(paragraphs) if plain else set_essay(paragraphs, layout))
    return found


@contextmanager
def _our_reader(folder: Path) -> Iterator[Callable[[], object]]:
    from huleedu_dagster.extraction.readers import pdf

    files, limits = essays(), ExtractionLimits()
    yield lambda: [pdf.read(data, limits) for data in files]


@contextmanager
def _pdfminer(folder: Path) -> Iterator[Callable[[], object]]:
    from pdfminer.high_level import extract_text

    files = essays()
    yield lambda: [extract_text(io.BytesIO(data)) for data in files]
