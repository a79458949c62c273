"""What the guarded extractor says: the same as the plain one, and a code for every attack."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.extraction import sandbox_wire
from huleedu_dagster.extraction.direct import DirectExtractor
from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.port import Extraction
from huleedu_dagster.extraction.sandbox import SandboxedExtractor
from huleedu_dagster.extraction.sandbox_limits import SandboxLimits
from huleedu_dagster.extraction.sandbox_processes import Worker, WorkerDiedError
from huleedu_dagster.settings import Settings
from tests.factory import documents, nasty
from tests.support.sandboxes import cpu_ticks, kill_each_worker, sandbox_processes, wait_until
from tests.unit.extraction.helpers import ESSAY, ESSAY_TEXT

_MIB = 1024**2
_BOMB = nasty.docx_bomb()
_HASTY = SandboxLimits(wall_seconds=0.4)
_FACTORY = {
    "docx": documents.docx_bytes(ESSAY),
    "odt": documents.odt_bytes(ESSAY),
    "rtf": documents.rtf_bytes(ESSAY),
    "pdf": documents.pdf_bytes(ESSAY, title="Älven"),
    "html": documents.html_bytes(ESSAY),
    "md": documents.md_bytes(ESSAY),
    "txt": documents.txt_bytes(ESSAY, "cp1252"),
    "hidden.html": b"<p>seen</p><p hidden>not</p>",
    "encrypted.docx": documents.encrypted_docx_bytes(),
    "encrypted.odt": documents.encrypted_odt_bytes(),
    "encrypted.pdf": documents.encrypted_pdf_bytes(),
    "legacy.doc": documents.legacy_doc_bytes(),
    "scanned.pdf": documents.scanned_pdf_bytes(),
    "archive.zip": documents.zip_bytes({"a.txt": b"hej"}),
    "empty": b"",
    "bytes.txt": b"\0\1\2" * 50,
    "bomb.docx": documents.docx_bytes([], extra_parts={"word/document.xml": b" " * 70_000_000}),
    "half.pdf": documents.pdf_bytes(ESSAY)[:900],
}


@pytest.fixture(scope="module")
def hasty() -> Iterator[SandboxedExtractor]:
    """An extractor that waits for no file longer than 0.4 s."""
    with SandboxedExtractor(sandbox=_HASTY) as extractor:
        yield extractor


def _next_file_is_right(extractor: SandboxedExtractor) -> None:
    # No new interpreter is started for it; `benchmarks/extraction.py` tells what it costs.
    servers = sandbox_processes() - extractor.worker_pids
    # It may take longer than it is given on a busy machine.
    wait_until(lambda: extractor.extract(_FACTORY["docx"], "docx").text == ESSAY_TEXT)
    wait_until(lambda: sandbox_processes() - extractor.worker_pids <= servers)


def test_every_document_of_the_factory_reads_as_it_does_in_process() -> None:
    plain = DirectExtractor()
    with SandboxedExtractor() as guarded:
        for name, data in _FACTORY.items():
            suffix = name.rpartition(".")[2]
            assert guarded.extract(data, suffix) == plain.extract(data, suffix), name


def test_a_strange_suffix_is_no_matter() -> None:
    with SandboxedExtractor() as extractor:
        for suffix in ("\udcff", "å" * 100_000, "txt\0"):
            assert extractor.extract(b"hej", suffix).text == "hej"


@pytest.mark.parametrize(
    ("data", "suffix"),
    [(nasty.nested_forms_pdf(), "pdf"), (_BOMB, "docx")],
    ids=["forms in forms", "huge docx"],
)
def test_a_file_that_takes_too_long_is_stopped(
    hasty: SandboxedExtractor, data: bytes, suffix: str
) -> None:
    found = hasty.extract(data, suffix)
    assert (found.code, found.transient) == (Code.TIMEOUT, True)
    assert found.message == "stopped after 0.4 s"
    _next_file_is_right(hasty)


def test_processor_time_is_limited_also_where_the_parent_ignores_that_signal() -> None:
    before = signal.signal(signal.SIGPROF, signal.SIG_IGN)
    try:
        with SandboxedExtractor(sandbox=SandboxLimits(cpu_seconds=1)) as extractor:
            found = extractor.extract(nasty.nested_forms_pdf(), "pdf")
            assert (found.code, found.transient) == (Code.TIMEOUT, True)
            assert found.message == "used up its processor time"
            _next_file_is_right(extractor)
    finally:
        signal.signal(signal.SIGPROF, before)


def test_processor_time_of_one_file_is_not_taken_from_the_next() -> None:
    data = documents.pdf_bytes(["ord " * 3_000] * 10)
    sandbox = SandboxLimits(cpu_seconds=1, recycle_tasks=10_000)
    with SandboxedExtractor(sandbox=sandbox) as extractor:
        first = extractor.extract(data, "pdf")
        (pid,) = extractor.worker_pids
        while cpu_ticks(pid) < 1.3 * os.sysconf("SC_CLK_TCK"):
            assert extractor.extract(data, "pdf") == first
        assert extractor.worker_pids == {pid}


def test_a_file_that_crashes_its_reader_by_a_signal_is_so_reported() -> None:
    with SandboxedExtractor() as extractor:
        found = extractor.extract(nasty.crashing_pdf(), "pdf")
        assert (found.code, found.transient) == (Code.PARSER_CRASHED, True)
        assert found.message == "the reader ended by SIGSEGV"
        _next_file_is_right(extractor)


@pytest.mark.parametrize(
    ("data", "suffix", "memory"),
    [
        (nasty.flate_bomb_pdf(), "pdf", 64 * _MIB),
        (_BOMB, "docx", 32 * _MIB),
        # Here libxml2 runs out of memory and calls the part not well-formed.
        (_BOMB, "docx", 150 * _MIB),
    ],
    ids=["pdf", "docx", "docx as a tree"],
)
def test_a_file_that_needs_too_much_memory_is_too_large_for_now(
    data: bytes, suffix: str, memory: int
) -> None:
    with SandboxedExtractor(sandbox=SandboxLimits(memory_bytes=memory)) as extractor:
        found = extractor.extract(data, suffix)
        assert (found.code, found.transient) == (Code.TOO_LARGE, True)
        assert found.message == "out of memory"
        _next_file_is_right(extractor)


def test_a_damaged_file_after_a_huge_one_is_still_damaged_for_good() -> None:
    limits = SandboxLimits(memory_bytes=500 * _MIB)
    with SandboxedExtractor(sandbox=limits) as extractor:
        assert not extractor.extract(_BOMB, "docx").transient
        found = extractor.extract(documents.docx_bytes([], body_xml="<w:p>"), "docx")
        assert (found.code, found.transient) == (Code.CORRUPTED_FILE, False)


def test_a_worker_that_is_killed_at_work_twice_is_a_crash_and_harms_no_neighbour() -> None:
    with SandboxedExtractor(sandbox=SandboxLimits(cpu_seconds=60, wall_seconds=60)) as extractor:
        found: list[Extraction] = []
        data = nasty.nested_forms_pdf()
        hang = threading.Thread(target=lambda: found.append(extractor.extract(data, "pdf")))
        hang.start()
        kill_each_worker(extractor, signal.SIGKILL, times=2)
        hang.join(60)
        (crash,) = found
        assert (crash.code, crash.transient) == (Code.PARSER_CRASHED, True)
        assert crash.message == "the reader ended by SIGKILL"
        _next_file_is_right(extractor)


def test_a_worker_that_is_killed_at_work_once_costs_only_time() -> None:
    data = documents.pdf_bytes(["ord " * 400] * 150)
    with SandboxedExtractor() as extractor:
        found: list[Extraction] = []
        thread = threading.Thread(target=lambda: found.append(extractor.extract(data, "pdf")))
        thread.start()
        kill_each_worker(extractor, signal.SIGSEGV, times=1)
        thread.join(60)
        assert found[0].text is not None


def test_a_file_over_the_size_limit_is_not_sent_anywhere() -> None:
    limits = ExtractionLimits(max_input_bytes=10)
    with SandboxedExtractor(limits) as extractor:
        found = extractor.extract(b"x" * 11, "txt")
        assert found == DirectExtractor(limits).extract(b"x" * 11, "txt")
        assert (found.code, found.transient) == (Code.TOO_LARGE, False)
        assert extractor.worker_pids == frozenset()


def test_the_version_is_that_of_the_readers_and_starts_nothing() -> None:
    with SandboxedExtractor(sandbox=SandboxLimits(workers=1)) as extractor:
        assert extractor.version == DirectExtractor().version
        assert extractor.worker_pids == frozenset()


@pytest.mark.parametrize("interpreter", ["", "/bin/false", "/bin/there-is-none"])
def test_that_no_worker_can_be_started_is_not_the_files_fault(
    monkeypatch: pytest.MonkeyPatch, interpreter: str
) -> None:
    with SandboxedExtractor() as extractor:
        monkeypatch.setattr(sys, "executable", interpreter)
        for _ in range(2):
            with pytest.raises(OSError, match=r".+"):
                extractor.extract(b"hej", "txt")
        monkeypatch.undo()
        assert extractor.extract(b"hej", "txt").text == "hej"


def test_a_reader_that_cannot_be_imported_is_not_the_files_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "striprtf").mkdir()
    (tmp_path / "striprtf" / "__init__.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with SandboxedExtractor() as extractor:
        with pytest.raises(OSError, match="installation"):
            extractor.extract(_FACTORY["rtf"], "rtf")
        assert extractor.extract(b"hej", "txt").text == "hej"


def test_a_closed_extractor_refuses() -> None:
    extractor = SandboxedExtractor()
    assert extractor.extract(b"hej", "txt").text == "hej"
    extractor.close()
    extractor.close()
    with pytest.raises(OSError, match="closed"):
        extractor.extract(b"hej", "txt")


def _frame(head: bytes, text: bytes = b"") -> bytes:
    return len(head).to_bytes(4, "big") + len(text).to_bytes(4, "big") + head + text


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0\0\0",
        b"\xff" * 40,
        _frame(b"[]"),
        _frame(b"{}"),
        _frame(b"not json"),
        _frame(b"[" * 60_000),
        _frame(b'["NO_SUCH_CODE", "", [], false, "txt"]'),
        _frame(b'["TIMEOUT", "", [], false, "txt"]', b"text"),
        _frame(b'[null, "", ["NO_SUCH_WARNING"], false, "txt"]', b"text"),
        _frame(b'[null, "", [], 0, "txt"]', b"text"),
        _frame(b'[null, "", [], false, "txt"]', b"\xff"),
        (5).to_bytes(4, "big") + b"\x7f\xff\xff\xff",
        _frame(b'[null, "", [], false, "txt"]', b"text") + b"more",
    ],
)
def test_an_answer_that_is_none_counts_as_a_crash(answer: bytes) -> None:
    (ours, theirs), (life, its_life) = socket.socketpair(), socket.socketpair()
    worker = Worker(ours, life)
    with theirs, its_life:
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        sandbox_wire.send_number(its_life, -9)
        with pytest.raises(WorkerDiedError) as caught:
            worker.ask(b"", ExtractionLimits(), 5)
    assert caught.value.exit_code == -9
    assert not worker.usable


def test_a_worker_that_speaks_unasked_or_is_gone_is_not_given_a_file() -> None:
    (ours, theirs), (life, its_life) = socket.socketpair(), socket.socketpair()
    worker = Worker(ours, life)
    with its_life:
        assert worker.is_waiting
        theirs.sendall(b"x")
        assert not worker.is_waiting
        ours.recv(1)
        assert worker.is_waiting
        theirs.close()
        assert not worker.is_waiting
    worker.forget()


def test_the_settings_have_the_standard_limits() -> None:
    settings, standard = Settings(), SandboxLimits()
    for name in SandboxLimits.__dataclass_fields__:
        assert getattr(settings, f"extraction_{name}") == getattr(standard, name), name
