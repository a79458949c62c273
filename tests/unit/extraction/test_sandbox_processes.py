"""The life of the guarded extractor's processes: who starts them, shares them and outlives them."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from huleedu_dagster.extraction.sandbox import SandboxedExtractor
from huleedu_dagster.extraction.sandbox_limits import SandboxLimits
from huleedu_dagster.resources.extractor import ExtractorResource
from tests.factory import documents, nasty
from tests.support import extracting
from tests.support.sandboxes import cpu_ticks, sandbox_processes, wait_until

_PATIENT = SandboxLimits(cpu_seconds=60, wall_seconds=60)
_GOOD = documents.txt_bytes(["A good text."])
_ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before = sandbox_processes()
    yield
    gc.collect()
    assert sandbox_processes() == before


def _reads(extractor: SandboxedExtractor) -> bool:
    return extractor.extract(_GOOD, "txt").text == "A good text."


def test_nothing_runs_before_the_first_file_and_after_closing() -> None:
    before = sandbox_processes()
    extractor = SandboxedExtractor()
    assert sandbox_processes() == before
    assert _reads(extractor)
    # The fork server and one worker: the second starts when two files are read at once.
    assert len(sandbox_processes() - before) == 2
    extractor.close()
    assert sandbox_processes() == before


def test_a_reader_of_strangers_files_is_told_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "HULEEDU_S3_SECRET_KEY": "geheim-1",
        "HULEEDU_LEDGER_URL": "postgresql://huleedu:geheim-2@db/huleedu",
        "HULEEDU_INTAKE_SESSION_KEY": "geheim-3",
        "DAGSTER_POSTGRES_PASSWORD": "geheim-4",
        "AWS_SECRET_ACCESS_KEY": "geheim-5",
        "PGPASSWORD": "geheim-6",
        "SOMETHING_ELSE": "geheim-7",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("HULEEDU_HOME", "/srv/huleedu")
    before = sandbox_processes()
    with SandboxedExtractor() as extractor:
        assert _reads(extractor)
        told = [
            Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            for pid in sandbox_processes() - before
        ]
    assert len(told) == 2
    assert [it for words in told for it in words if b"geheim" in it] == []
    path = f"PATH={os.environ['PATH']}".encode()
    assert all({path, b"LC_ALL=C.UTF-8", b"HULEEDU_HOME=/srv/huleedu"} <= {*it} for it in told)


def test_an_extractor_that_nobody_holds_ends_its_processes() -> None:
    before = sandbox_processes()
    assert _reads(SandboxedExtractor())
    gc.collect()
    assert sandbox_processes() == before


def test_a_worker_is_replaced_after_its_share_of_files() -> None:
    with SandboxedExtractor(sandbox=SandboxLimits(recycle_tasks=3)) as extractor:
        pids = []
        for _ in range(7):
            assert _reads(extractor)
            pids.append(extractor.worker_pids)
        served = [next(iter(it)) if it else None for it in pids]
        assert served[0] == served[1] != served[3] == served[4] != served[6]
        assert served[2] is served[5] is None


def test_the_worker_that_comes_next_is_made_while_the_last_file_is_read() -> None:
    before = sandbox_processes()
    with SandboxedExtractor(sandbox=SandboxLimits(recycle_tasks=2)) as extractor:
        assert _reads(extractor)
        assert len(sandbox_processes() - before) == 2
        used = extractor.worker_pids
        assert _reads(extractor)
        assert extractor.worker_pids == frozenset()
        # The fork server and the next worker, when the one that is used up has gone.
        wait_until(lambda: len(sandbox_processes() - before - used) == 2)
        prepared = sandbox_processes() - used
        assert _reads(extractor)
        assert extractor.worker_pids <= prepared
        # Found dead, it is replaced as any other.
        assert _reads(extractor)
        wait_until(lambda: len(sandbox_processes() - before) == 2)
        for pid in sandbox_processes() - before:
            os.kill(pid, signal.SIGKILL)
        assert _reads(extractor)


def test_two_threads_are_served_by_two_workers_at_once_and_refused_at_closing() -> None:
    refused: list[str] = []
    data = nasty.nested_forms_pdf()
    with SandboxedExtractor(sandbox=_PATIENT) as extractor:

        def read() -> None:
            try:
                extractor.extract(data, "pdf")
            except OSError as error:
                refused.append(str(error))

        threads = [threading.Thread(target=read) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(extractor.worker_pids) == 2)
        pids = extractor.worker_pids
        wait_until(lambda: all(cpu_ticks(pid) >= 3 for pid in pids))
        assert extractor.worker_pids == pids
    for thread in threads:
        thread.join(60)
    assert refused == ["the extractor is closed"] * 2


def test_threads_that_outnumber_the_workers_all_get_their_texts() -> None:
    texts = [f"Text number {number}." for number in range(40)]
    found: dict[str, str | None] = {}
    with SandboxedExtractor(sandbox=SandboxLimits(recycle_tasks=5)) as extractor:

        def read(some: list[str]) -> None:
            for text in some:
                found[text] = extractor.extract(text.encode(), "txt").text
                assert len(extractor.worker_pids) <= 2

        threads = [threading.Thread(target=read, args=(texts[at::8],)) for at in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert found == {text: text for text in texts}


def test_a_killed_worker_or_fork_server_is_replaced_without_a_rejection() -> None:
    before = sandbox_processes()
    with SandboxedExtractor() as extractor:
        assert _reads(extractor)
        for _ in range(2):
            os.kill(next(iter(extractor.worker_pids)), signal.SIGKILL)
            assert _reads(extractor)
            server = min(sandbox_processes() - before - extractor.worker_pids)
            os.kill(server, signal.SIGKILL)
            assert _reads(extractor)


def test_the_thread_that_starts_the_workers_need_not_live_on() -> None:
    with SandboxedExtractor() as extractor:
        thread = threading.Thread(target=_reads, args=(extractor,))
        thread.start()
        thread.join()
        pids = extractor.worker_pids
        assert _reads(extractor)
        assert extractor.worker_pids == pids != frozenset()


def test_a_forked_copy_has_workers_of_its_own_and_leaves_the_others_alone() -> None:
    with SandboxedExtractor() as extractor:
        assert _reads(extractor)
        pids = extractor.worker_pids
        child = os.fork()
        if child == 0:
            own = _reads(extractor) and not extractor.worker_pids & pids
            extractor.close()
            os._exit(0 if own and not sandbox_processes() else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert _reads(extractor)
        assert extractor.worker_pids == pids


def test_an_interrupt_ends_the_wait_of_the_main_thread_and_its_worker_alone() -> None:
    data = nasty.nested_forms_pdf()
    refused: list[OSError] = []
    with SandboxedExtractor(sandbox=_PATIENT) as extractor:

        def read() -> None:
            try:
                extractor.extract(data, "pdf")
            except OSError as error:
                refused.append(error)

        def interrupt(spared: frozenset[int]) -> None:
            wait_until(lambda: _at_work(extractor.worker_pids - spared) == 1)
            signal.pthread_kill(main, signal.SIGINT)

        main = threading.get_ident()
        other = threading.Thread(target=read)
        other.start()
        wait_until(lambda: _at_work(extractor.worker_pids) == 1)
        spared = extractor.worker_pids
        interrupter = threading.Thread(target=interrupt, args=(spared,))
        interrupter.start()
        with pytest.raises(KeyboardInterrupt):
            extractor.extract(data, "pdf")
        interrupter.join()
        assert extractor.worker_pids == spared
        assert _reads(extractor)
        assert spared < extractor.worker_pids
        assert refused == []
    other.join(60)
    assert len(refused) == 1


def _at_work(pids: frozenset[int]) -> int:
    return sum(cpu_ticks(pid) >= 3 for pid in pids)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


# Newer Pythons warn of every fork beside a thread.
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_copy_that_is_forked_while_a_thread_starts_a_worker_can_start_its_own() -> None:
    before = sandbox_processes()
    with SandboxedExtractor() as extractor:
        assert _reads(extractor)
        (worker,) = extractor.worker_pids
        (server,) = sandbox_processes() - before - {worker}
        found: list[bool] = []
        thread = threading.Thread(target=lambda: found.append(_reads(extractor)))
        os.kill(server, signal.SIGSTOP)
        try:
            os.kill(worker, signal.SIGKILL)
            wait_until(lambda: _state(worker) == "Z")
            thread.start()
            # No public door tells that the lock is held, which is what makes a fork dangerous.
            wait_until(extractor._pool._lock.locked)
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                os._exit(0 if _reads(extractor) else 1)
            assert os.waitpid(child, 0)[1] == 0
        finally:
            os.kill(server, signal.SIGCONT)
        thread.join(60)
        assert found == [True]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_it_works_in_daemonic_processes_however_they_are_started(method: str) -> None:
    # Celery's prefork children and Dagster's executors are such processes.
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    with ours, theirs:
        process = context.Process(  # type: ignore[attr-defined]
            target=extracting.report, args=(theirs,), daemon=True
        )
        process.start()
        text, pid = ours.recv()
        process.join(60)
    assert (text, process.exitcode) == ("hej", 0)
    wait_until(lambda: not sandbox_processes(pid), 30)


def _script(tmp_path: Path, body: str) -> Path:
    path = tmp_path / "script.py"
    head = "import os, sys, time, threading\nfrom tests.support.extracting import *\n"
    path.write_text(head + body)
    return path


def _run(path: Path, redirected: str = "") -> "subprocess.Popen[bytes]":
    command = f"exec {sys.executable} {path} {redirected}"
    paths = os.pathsep.join((str(_ROOT), os.environ.get("PYTHONPATH", "")))
    return subprocess.Popen(["sh", "-c", command], env={**os.environ, "PYTHONPATH": paths})


@pytest.mark.parametrize("redirected", ["<&- >&- 2>&-", "<&-", ">&-", "</dev/null >/dev/null 2>&1"])
def test_it_works_whatever_the_standard_streams_are(tmp_path: Path, redirected: str) -> None:
    out = tmp_path / "out"
    path = _script(tmp_path, f"write({str(out)!r}, texts(3))\n")
    assert _run(path, redirected).wait(60) == 0
    assert out.read_text() == "hej hej hej"


def test_the_main_module_is_not_run_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    path = _script(tmp_path, f"write({str(out)!r}, texts(2), mode='a')\n")
    assert _run(path).wait(60) == 0
    assert out.read_text() == "hej hej"


@pytest.mark.parametrize(
    "more",
    [
        "",
        # A forked copy keeps every socket of the dead parent open, for longer than is waited.
        "if os.fork() == 0: time.sleep(60); os._exit(0)\n",
    ],
    ids=["alone", "with a forked copy"],
)
def test_no_worker_outlives_a_killed_parent(tmp_path: Path, more: str) -> None:
    out = tmp_path / "out"
    body = f"hang_in_thread()\n{more}write({str(out)!r}, 'on')\ntime.sleep(60)\n"
    process = _run(_script(tmp_path, body))
    wait_until(out.exists)
    assert len(sandbox_processes(process.pid)) == 3
    process.kill()
    process.wait()
    wait_until(lambda: not sandbox_processes(process.pid), 30)


@pytest.mark.parametrize("ending", ["", "os._exit(0)\n", "raise SystemExit(0)\n"])
def test_no_worker_outlives_a_parent_that_ends(tmp_path: Path, ending: str) -> None:
    process = _run(_script(tmp_path, f"texts(1)\n{ending}"))
    assert process.wait(60) == 0
    wait_until(lambda: not sandbox_processes(process.pid), 30)


def test_resources_with_the_same_limits_share_one_extractor() -> None:
    one, same, other = (ExtractorResource(workers=n) for n in (2, 2, 1))
    assert one.open() is same.open() is ExtractorResource().open()
    assert other.open() is not one.open()
