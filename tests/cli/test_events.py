"""`huleedu events` and `huleedu relay`: real processes where signals and locks matter."""

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from huleedu_dagster.cli.app import main
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.relay.signatures import verify
from tests.cli.test_commands import Shell
from tests.support.ledger import new_ledger
from tests.support.waiting import wait_for
from tests.unit.relay.events import envelopes, record, uploads
from tests.unit.relay.receiver import Answer, receiver

SECRET = b"a secret of a school"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """The command line on a home with an empty ledger."""
    return Shell(tmp_path / "home")


@pytest.fixture
def ledger(shell: Shell) -> Iterator[Ledger]:
    """The ledger of that home."""
    shell.home.mkdir()
    found = new_ledger(shell.home / "ledger.db")
    yield found
    found.close()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file with a secret, as an editor leaves it."""
    path = tmp_path / "secret"
    path.write_bytes(SECRET + b"\n")
    return path


class Huleedu:
    """Runs commands in this process, which is quicker than one of their own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str | Path | int, code: int = 0) -> str:
        """Run a command; it must end with `code`. Returns what it prints."""
        self._monkeypatch.setattr(sys, "argv", ["huleedu", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capsys.readouterr()
        assert (ended.value.code or 0) == code, out + err
        return out

    def json(self, *arguments: str | Path, code: int = 0) -> Any:
        """Run a command with `--json`; returns what it prints."""
        return json.loads(self(*arguments, "--json", code=code))


@pytest.fixture
def huleedu(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Huleedu:
    """The commands on the home of `shell`."""
    monkeypatch.setenv("HULEEDU_HOME", str(shell.home))
    return Huleedu(monkeypatch, capsys)


@contextmanager
def started(shell: Shell, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on until somebody stops it."""
    with subprocess.Popen(
        [sys.executable, "-m", "huleedu_dagster.cli.app", *map(str, arguments)],
        env={**os.environ, "HULEEDU_HOME": str(shell.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def next_upload(process: subprocess.Popen[str]) -> str:
    """The upload that the next line is about; the line has to be flushed to get here."""
    assert process.stdout is not None
    return str(json.loads(process.stdout.readline())["data"]["upload_id"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_following_prints_each_event_when_it_is_recorded_and_ends_well(
    shell: Shell, ledger: Ledger, number: signal.Signals
) -> None:
    record(ledger, "one", "two")
    with started(shell, "events", "--follow") as process:
        assert [next_upload(process), next_upload(process)] == ["one", "two"]
        record(ledger, "three")
        assert next_upload(process) == "three"
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


def test_following_one_batch_prints_its_events_alone_while_others_write(
    shell: Shell, huleedu: Huleedu, ledger: Ledger
) -> None:
    huleedu("register", "class-9d", "--expected", "3")
    with started(shell, "events", "class-9d", "--follow") as process:
        record(ledger, "other", batch_id="class-9e")
        record(ledger, "one")
        assert next_upload(process) == "one"
        with closing(sqlite3.connect(shell.home / "ledger.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0


def test_events_behind_a_number_are_printed_with_their_numbers(
    huleedu: Huleedu, ledger: Ledger
) -> None:
    record(ledger, "one", "two", "three")
    found = [json.loads(it) for it in huleedu("events", "--after", "1", "--numbered").splitlines()]
    assert [it["seq"] for it in found] == [2, 3]
    assert [it["envelope"] for it in found] == envelopes(ledger)[1:]
    huleedu("events", "unknown", "--follow", code=2)


@pytest.mark.parametrize(
    "name", ["dlq show", "dlq replay", "relay replay --to x", "events --after"]
)
def test_a_number_that_no_row_can_have_is_refused_in_a_sentence(
    huleedu: Huleedu, name: str
) -> None:
    huleedu(*name.split(), 2**63, code=2)


def test_a_relay_that_comes_first_makes_a_home_for_its_user_alone(
    shell: Shell, huleedu: Huleedu, tmp_path: Path
) -> None:
    before = os.umask(0o022)
    try:
        huleedu("relay", "run", "--to", tmp_path / "events.jsonl", "--once")
    finally:
        os.umask(before)
    assert stat.S_IMODE(shell.home.stat().st_mode) == 0o700


def test_a_file_gets_every_event_once_and_the_status_says_so(
    huleedu: Huleedu, ledger: Ledger, tmp_path: Path
) -> None:
    record(ledger, "one", "two")
    file = tmp_path / "events.jsonl"
    assert huleedu.json("relay", "run", "--to", file, "--once")["delivered"] == 2
    record(ledger, "three")
    (standing,) = huleedu.json("relay", "status")
    assert (standing["position"], standing["behind"]) == (2, 1)
    assert huleedu.json("relay", "run", "--to", file, "--once")["delivered"] == 1
    assert [json.loads(it) for it in file.read_text().splitlines()] == envelopes(ledger)
    assert standing["relay"] in huleedu("relay", "status")


def test_a_webhook_gets_signed_events_and_a_refused_one_can_be_replayed(
    huleedu: Huleedu, ledger: Ledger, secret: Path
) -> None:
    record(ledger, "one", "bad", "three")
    with receiver(Answer(), Answer(400)) as there:
        target = ("--to", there.url, "--secret-file", secret)
        carried = huleedu.json("relay", "run", *target, "--once", code=3)
        assert (carried["delivered"], carried["dead"]) == (2, 1)
        assert "status 400" in huleedu("relay", "status")
        (standing,) = huleedu.json("relay", "status")
        (letter,) = standing["dead_letters"]
        huleedu("relay", "replay", "--to", secret.parent / "x", letter["id"], code=2)
        huleedu("relay", "replay", *target, code=2)
        huleedu("relay", "replay", *target, 99, code=2)

        huleedu("relay", "replay", *target, letter["id"])

        assert huleedu("relay", "replay", *target, "--all") == ""
        (standing,) = huleedu.json("relay", "status")
    assert standing["dead_letters"] == []
    assert uploads([json.loads(it.body) for it in there.requests]) == ["one", "bad", "three", "bad"]
    assert all(verify(SECRET, it.headers, it.body, time.time()) for it in there.requests)


def test_a_relay_that_runs_is_not_run_twice_and_ends_well(
    shell: Shell, ledger: Ledger, secret: Path
) -> None:
    record(ledger, "one")
    with receiver() as there:
        target = ("--to", there.url, "--secret-file", secret)
        with started(shell, "relay", "run", *target) as process:
            wait_for(lambda: len(there.requests) == 1, 60)
            second = shell.run("relay", "run", *target, "--once")
            assert (second.returncode, "runs already" in second.stderr) == (1, True)
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert [json.loads(it)["status"] for it in err.splitlines()] == ["delivered"]
    assert "1 delivered, 0 dead letters" in out
    assert len(there.requests) == 1


def test_a_target_that_cannot_be_used_is_a_mistake_of_usage(
    huleedu: Huleedu, shell: Shell, secret: Path
) -> None:
    for target in (
        ("--to", "http://school.example/"),
        ("--to", "ftp://school.example/", "--secret-file", secret),
        ("--to", shell.home / "missing" / "events.jsonl"),
        ("--to", secret.parent),
    ):
        huleedu("relay", "run", *target, "--once", code=2)
