"""One essay in every format gives the same text."""

import os
import subprocess
import sys

import pytest

from huleedu_dagster.extraction.direct import DirectExtractor
from huleedu_dagster.extraction.limits import ExtractionLimits
from tests.factory import documents
from tests.unit.extraction.helpers import ESSAY, ESSAY_TEXT, code_of, extract, text_of

FILES = {
    "docx": documents.docx_bytes(ESSAY),
    "odt": documents.odt_bytes(ESSAY),
    "rtf": documents.rtf_bytes(ESSAY),
    "pdf": documents.pdf_bytes(ESSAY),
    "html": documents.html_bytes(ESSAY),
    "md": documents.md_bytes(ESSAY),
    "txt": documents.txt_bytes(ESSAY),
}

_HASH_ALL = """
import hashlib
from tests.unit.extraction.test_round_trip import FILES
from tests.unit.extraction.helpers import extract
parts = [repr(extract(data, name)) for name, data in FILES.items()]
print(hashlib.sha256("".join(parts).encode()).hexdigest())
"""


@pytest.mark.parametrize("name", FILES)
def test_an_essay_comes_out_as_its_paragraphs_joined_by_empty_lines(name: str) -> None:
    result = extract(FILES[name], name)
    assert result.text == ESSAY_TEXT
    assert (result.format, result.warnings, result.code) == (name, (), None)


@pytest.mark.parametrize("name", ["docx", "odt", "rtf", "pdf"])
def test_a_wrong_suffix_changes_nothing(name: str) -> None:
    assert text_of(FILES[name], "exe") == ESSAY_TEXT


@pytest.mark.parametrize("name", ["docx", "odt", "rtf", "html", "md", "txt"])
def test_a_line_break_within_a_paragraph_is_one_line_feed(name: str) -> None:
    builder = getattr(documents, f"{name}_bytes")
    assert text_of(builder(["En rad\noch en till", "Slut"]), name) == "En rad\noch en till\n\nSlut"


@pytest.mark.parametrize("name", ["docx", "odt", "rtf", "pdf"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_corrupted_and_never_partial_text(name: str, share: float) -> None:
    data = FILES[name]
    assert code_of(data[: int(len(data) * share)], name) == "CORRUPTED_FILE"


@pytest.mark.parametrize("name", FILES)
def test_more_text_than_the_output_limit_is_too_large(name: str) -> None:
    extractor = DirectExtractor(ExtractionLimits(max_output_chars=100))
    assert extractor.extract(FILES[name], name).code == "TOO_LARGE"


@pytest.mark.parametrize("name", FILES)
def test_a_file_above_the_input_limit_is_too_large(name: str) -> None:
    extractor = DirectExtractor(ExtractionLimits(max_input_bytes=20))
    assert extractor.extract(FILES[name], name).code == "TOO_LARGE"


@pytest.mark.parametrize("name", FILES)
def test_a_document_without_words_is_empty_content(name: str) -> None:
    assert code_of(getattr(documents, f"{name}_bytes")([" ", ""]), name) == "EMPTY_CONTENT"


def test_two_processes_with_other_seeds_zones_and_locales_agree() -> None:
    settings = (("0", "UTC", "C"), ("4711", "Asia/Tokyo", "C.UTF-8"))
    digests = set()
    for seed, zone, locale in settings:
        env = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": locale}
        env["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        command = [sys.executable, "-c", _HASH_ALL]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        digests.add(done.stdout)
    assert len(digests) == 1


def test_the_version_names_every_library_and_imports_none() -> None:
    script = (
        "import sys; from huleedu_dagster.extraction.direct import DirectExtractor; "
        "print(DirectExtractor().version); "
        "heavy = {'lxml', 'pypdfium2', 'selectolax', 'striprtf', 'markdown_it', 'chardet'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    version, loaded = done.stdout.splitlines()
    assert version == DirectExtractor().version
    assert all(name in version for name in ("readers=", "lxml=", "pypdfium2=", "striprtf="))
    assert loaded == "[]"
