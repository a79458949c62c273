"""What thousands of files cost the process that has them read, seen in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

_MIB = 1024**2
_ROOT = Path(__file__).parents[3]
_SCRIPT = """
import gc, json, os
from pathlib import Path
from huleedu_dagster.extraction.sandbox import SandboxedExtractor
from tests.factory import documents, nasty

paragraphs = ["word " * 500]
good = [(documents.docx_bytes(paragraphs), "docx"), (documents.pdf_bytes(["A text."]), "pdf")]
crash = nasty.crashing_pdf(60_000)

def used():
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return [pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd"))]

def read(files):
    for number in range(files):
        assert extractor.extract(*good[number % 2]).text
    assert extractor.extract(crash, "pdf").transient

with SandboxedExtractor() as extractor:
    read(200)
    early = used()
    read(1_800)
    print(json.dumps([early, used()]))
"""


def test_two_thousand_files_cost_the_parent_neither_memory_nor_descriptors() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], cwd=_ROOT, check=True, capture_output=True, timeout=120
    )
    (early, descriptors), (late, descriptors_after) = json.loads(done.stdout)
    assert late - early < 5 * _MIB
    assert descriptors_after == descriptors
