"""The command line as a user meets it: real processes, real files, exit codes."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from huleedu_dagster.ledger.ledger import Ledger
from tests.support.ledger import facts

GOOD = "The class went to the museum on Friday and everyone liked the old ships very much."


class Shell:
    """Runs `huleedu` on one home folder."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *arguments: str | Path, code: int = 0) -> str:
        """Run a command; it must end with `code`. Returns what it prints."""
        done = self.run(*arguments)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command, however it ends."""
        command = [sys.executable, "-m", "huleedu_dagster.cli.app", *map(str, arguments)]
        environment = {**os.environ, "HULEEDU_HOME": str(self.home)}
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    def json(self, *arguments: str | Path, code: int = 0) -> Any:
        """Run a command with `--json`; returns what it prints."""
        return json.loads(self(*arguments, "--json", code=code))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """The command line on a fresh home."""
    return Shell(tmp_path / "home")


def folder_of(path: Path, count: int) -> Path:
    """A folder with so many good essays, one in each student's folder."""
    for number in range(1, count + 1):
        student = path / f"student-{number}"
        student.mkdir(parents=True)
        (student / "essay.txt").write_text(f"{GOOD} Ship number {number} was the best.")
    return path


def test_a_class_of_four_with_an_empty_file_is_ready(shell: Shell, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "class", 3)
    (folder / "empty.txt").touch()

    view = shell.json("run", folder, "--batch", "b1", "--expected", "4")

    counts = {name: view[name] for name in ("status", "expected", "received", "ready", "rejected")}
    assert counts == {
        "status": "ready",
        "expected": 4,
        "received": 4,
        "ready": 3,
        "rejected": 1,
    }
    assert set(view) == {
        "batch_id",
        "status",
        "expected",
        "received",
        "ready",
        "rejected",
        "dead_lettered",
        "missing",
        "excess",
        "waived",
        "waiting_since",
        "duration_seconds",
        "essays",
    }
    empty = next(it for it in view["essays"] if it["file_name"] == "empty.txt")
    assert (empty["outcome"], empty["code"]) == ("rejected", "EMPTY_CONTENT")
    assert empty["message"].startswith("The file has no text in it.")
    assert (shell.home / "results/b1/report.html").exists()
    assert len(list((shell.home / "results/b1/corrected").iterdir())) == 3
    assert shell.json("status", "b1") == view


def test_too_few_essays_end_incomplete_and_can_be_waived(shell: Shell, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "class", 2)
    view = shell.json("run", folder, "--batch", "b1", "--expected", "3", code=3)
    assert (view["status"], view["missing"], view["ready"]) == ("incomplete", 1, 2)
    types = [json.loads(line)["event_type"] for line in shell("events", "b1").splitlines()]
    assert types.count("huleedu.batch.readiness.timed_out.v1") == 1

    view = shell.json("waive", "b1", "e003", "--reason", "ill", "--wait")
    assert (view["status"], view["waived"], view["missing"]) == ("ready", 1, 0)
    assert shell.run("waive", "b1", "e001", "--reason", "no").returncode == 2


def test_the_same_run_again_gives_the_same_answer_and_writes_nothing(
    shell: Shell, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "class", 2)
    (folder / "broken.docx").write_bytes(b"PK\x03\x04 broken")
    first = shell.json("run", folder, "--batch", "b1")
    before = _everything(shell.home)

    assert shell.json("run", folder, "--batch", "b1") == first
    assert _everything(shell.home) == before


def _everything(home: Path) -> tuple[dict[str, int], list[str]]:
    found = facts(Ledger(f"sqlite:///{home / 'ledger.db'}"))
    rows = {name: len(it) for name, it in found.items()}
    blobs = sorted(str(it) for it in (home / "blobs").rglob("*") if it.is_file())
    return rows, blobs


def test_new_files_join_a_batch_that_is_run_again(shell: Shell, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "class", 2)
    shell.json("run", folder, "--batch", "b1")
    (folder / "late.txt").write_text(f"{GOOD} This one came later than the others.")

    view = shell.json("run", folder, "--batch", "b1")

    assert (view["status"], view["received"], view["ready"]) == ("ready", 3, 3)
    revisions = [
        event["data"]["revision"]
        for event in map(json.loads, shell("events", "b1").splitlines())
        if event["event_type"] == "huleedu.batch.essays.ready.v1"
    ]
    assert revisions == [1, 2]


def test_a_zip_file_is_a_folder(shell: Shell, tmp_path: Path) -> None:
    archive = tmp_path / "class.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("a/essay.txt", f"{GOOD} One.")
        stream.writestr("b/essay.txt", f"{GOOD} Two.")
        stream.writestr("__MACOSX/a/._essay.txt", "litter")
    view = shell.json("run", archive, "--batch", "b1")
    assert [it["file_name"] for it in view["essays"]] == ["a/essay.txt", "b/essay.txt"]
    assert view["ready"] == 2


def test_equal_essays_of_two_students_are_both_kept_and_both_flagged(
    shell: Shell, tmp_path: Path
) -> None:
    folder = tmp_path / "class"
    folder.mkdir()
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(GOOD)
    view = shell.json("run", folder, "--batch", "b1")
    assert [it["duplicate_of"] for it in view["essays"]] == ["e002", "e001"]
    assert view["ready"] == 2


def test_show_gives_offsets_that_index_the_text(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "class"
    folder.mkdir()
    (folder / "a.txt").write_text(f"Göteborg is nice. {GOOD} I recieve it becouse it is good.")
    shell.json("run", folder, "--batch", "b1")

    view = shell.json("show", "b1", "e001")

    words = [view["text"][it["offset"] : it["offset"] + it["length"]] for it in view["corrections"]]
    assert words == [it["original"] for it in view["corrections"]]
    found = {it["original"]: it for it in view["corrections"]}
    assert found["becouse"] == {
        "offset": view["text"].index("becouse"),
        "length": 7,
        "original": "becouse",
        "suggestions": ["because"],
        "confidence": "certain",
        "applied": True,
        "reason": "only_candidate",
    }
    recieve = found["recieve"]
    assert recieve["suggestions"][0] == "receive"
    assert (recieve["confidence"], recieve["applied"]) == ("likely", False)
    assert "recieve it because" in view["corrected_text"]
    assert view["stages"][0]["stage"] == "raw_upload"


def test_show_marks_misspellings_with_suggestions_and_confidence_on_a_terminal(
    shell: Shell, tmp_path: Path
) -> None:
    folder = tmp_path / "class"
    folder.mkdir()
    (folder / "a.txt").write_text(f"{GOOD} Becouse of that, becouse I recieve it.")
    shell.json("run", folder, "--batch", "b1", "--apply", "likely")
    shown = " ".join(shell("show", "b1", "e001").split())
    assert "becouse [because: certain]" in shown
    assert "recieve [receive" in shown
    assert re.search(r"becouse\W+2\W+because\W+certain\W+Only one known word", shown)
    assert "receive it" in shell.json("show", "b1", "e001")["corrected_text"]


def test_the_report_lists_the_commonest_misspellings_of_the_class(
    shell: Shell, tmp_path: Path
) -> None:
    folder = tmp_path / "class"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.txt").write_text(f"{GOOD} Number {'x' * number} becouse. " * 2)
    shell.json("run", folder, "--batch", "b1")
    report = json.loads((shell.home / "results" / "b1" / "report.json").read_text())
    first = report["commonest_misspellings"][0]
    assert (first["word"], first["count"], first["essays"]) == ("becouse", 6, 3)
    assert first["suggestions"] == ["because"]
    page = (shell.home / "results" / "b1" / "report.html").read_text()
    assert "Commonest misspellings of the class" in page


def test_a_variety_is_a_setting_of_the_batch(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "class"
    folder.mkdir()
    (folder / "a.txt").write_text(f"{GOOD} My favorite color is blue.")
    shell.json("run", folder, "--batch", "b1", "--variety", "en-GB")
    view = shell.json("show", "b1", "e001")
    assert "favourite colour" in view["corrected_text"]
    assert {it["reason"] for it in view["corrections"]} == {"other_variety"}
    shell("run", folder, "--batch", "b2", "--variety", "sv-SE", code=2)


def test_submitted_files_are_stored_and_wait_for_somebody_to_process_them(
    shell: Shell, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "class", 2)
    registered = shell.json("register", "b1", "--expected", "2", "--class", "7b")
    assert len(registered["correlation_id"]) == 36
    receipts = shell.json("submit", folder, "--batch", "b1")
    assert [it["essay_id"] for it in receipts] == ["e001", "e002"]
    assert shell.json("status", "b1", code=3)["status"] == "processing"

    view = shell.json("close", "b1", "--wait")
    assert (view["status"], view["ready"]) == ("ready", 2)
    assert shell.json("reopen", "b1")["status"] == "receiving"
    assert [it["batch_id"] for it in shell.json("status")] == ["b1"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "nowhere", "--batch", "b1"], "there is no file or folder"),
        (["run", ".", "--batch", "Class 7"], "a batch id has"),
        (["run", ".", "--batch", "b1", "--language", "sv"], "spelling can be checked in"),
        (["run", ".", "--batch", "b1", "--expected", "100"], "as several batches"),
        (["register", "b1", "--expected", "100"], "as several batches"),
        (["status", "b9"], "no batch b9 is registered"),
        (["show", "b9", "e001"], "no batch b9 is registered"),
        (["events", "b9"], "no batch b9 is registered"),
        (["dlq", "show", "7"], "there is no dead letter 7"),
        (["dlq", "replay", "7"], "there is no dead letter 7"),
        (["close", "b9"], "no batch b9 is registered"),
        (["waive", "b9", "e001", "--reason", "x"], "no batch b9 is registered"),
        (["register", "b1", "--min-words", "9", "--max-words", "3"], "min_words"),
    ],
)
def test_a_wrong_request_is_one_sentence_and_exit_code_two(
    shell: Shell, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.txt").write_text(GOOD)
    done = shell.run(*(str(tmp_path / "one") if it == "." else it for it in arguments))
    assert done.returncode == 2, done.stdout + done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_lets_the_run_under_way_end_and_the_same_command_goes_on(
    shell: Shell, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "class", 12)
    command = [sys.executable, "-m", "huleedu_dagster.cli.app", "run", str(folder), "--batch", "b1"]
    # One essay in a run, so that the first run is by far not the last.
    environment = {**os.environ, "HULEEDU_HOME": str(shell.home), "HULEEDU_WAVE_LIMIT": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    runs = shell.home / "dagster/storage/history/runs"
    until = time.monotonic() + 60
    while not list(runs.glob("????????-*.db")) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 130, errors
    assert "the same command goes on" in errors
    view = shell.json("run", folder, "--batch", "b1")
    assert (view["status"], view["ready"]) == ("ready", 12)
    assert _everything(shell.home)[0]["attempts"] == 0


def test_more_essays_than_a_batch_can_have_are_refused_before_anything_is_stored(
    shell: Shell, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "exam", 100)
    done = shell.run("run", folder, "--batch", "b1")
    assert done.returncode == 2
    assert "several batches" in done.stderr
    assert not (shell.home / "blobs").exists()


def test_a_ledger_that_cannot_be_opened_is_exit_code_one(shell: Shell, tmp_path: Path) -> None:
    shell.home.mkdir()
    (shell.home / "ledger.db").write_bytes(b"this is no database at all" * 100)
    done = shell.run("status")
    assert done.returncode == 1
    assert "the ledger cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_sensor_that_fails_is_told_by_class_and_place_in_the_log_that_is_named(
    shell: Shell, tmp_path: Path
) -> None:
    shell("register", "broken", "--expected", "1")
    with closing(sqlite3.connect(shell.home / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE batches SET settings = ?", ('{"min_words": "secret"}',))
    done = shell.run("run", folder_of(tmp_path / "class", 1), "--batch", "b1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "huleedu: a sensor failed; see logs/run.log in the home folder\n"
    log = shell.home / "logs" / "run.log"
    lines = [json.loads(it) for it in log.read_text().splitlines()]
    told = [reason["reason"] for it in lines for reason in (it, *it.get("causes", ()))]
    assert "UnreadableBatchError" in told
    assert all(it["trace"] for it in lines)
    assert "secret" not in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_changed_word_list_is_a_setting_of_the_batch(shell: Shell, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("becouse\n")
    folder = tmp_path / "class"
    folder.mkdir()
    (folder / "a.txt").write_text(f"{GOOD} I like it becouse it is good.")
    view = shell.json("run", folder, "--batch", "b1", "--word-list", words)
    assert view["essays"][0]["misspellings"] == 0
    changed = shell.json("register", "b1", "--update", "--max-words", "400")
    assert changed["settings"] == {
        "language": "en",
        "variety": "",
        "min_words": 5,
        "max_words": 400,
        "word_list": ["becouse"],
        "apply_corrections": "certain",
    }
    assert shell.run("register", "b1", "--update", "--expected", "9").returncode == 2
    done = shell.run("run", folder, "--batch", "b1", "--language", "de")
    assert done.returncode == 2
    assert "registered with another language" in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HULEEDU_LEDGER_URL", "postgresql://huleedu:geheim/huleedu"),
        ("HULEEDU_BROKER_URL", "redis://:geheim/x@broker:6379/0"),
        ("HULEEDU_MAX_RUNS", "geheim"),
    ],
)
def test_a_setting_that_is_wrong_is_named_and_its_value_is_not_shown(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    done = shell.run("status")
    assert done.returncode == 2
    assert done.stderr.startswith(f"huleedu: {name}: ")
    assert done.stderr.count("\n") == 1
    assert "geheim" not in done.stdout + done.stderr
