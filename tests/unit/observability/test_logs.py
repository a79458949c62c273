"""Log lines: their form, their keys, and what they never hold."""

import io
import json
import logging
import os
import pty
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import celery
import pytest
import urllib3
from dagster._utils.error import serializable_error_info_from_exc_info

from huleedu_dagster.observability.logs import SHOWN, LineHandler, bound, shown
from tests.support.lines import captured

SECRET = "the secret text of an essay"
OURS = logging.getLogger("huleedu_dagster.tested")
THEIRS = logging.getLogger("somebody.elses")


def fail() -> None:
    try:
        raise ValueError(SECRET)
    except ValueError as error:
        raise KeyError(SECRET) from error


def test_a_line_is_an_object_with_the_same_keys_first() -> None:
    with captured() as lines:
        OURS.info("done", extra={"corr_id": "c1", "duration_ms": 3, "essay_id": None})
    (line,) = lines()
    assert list(line) == ["timestamp", "level", "logger", "event", "corr_id", "duration_ms"]
    assert line["timestamp"].endswith("Z")
    assert (line["level"], line["event"], line["corr_id"]) == ("info", "done", "c1")


def test_an_error_is_told_by_class_and_place_with_its_causes() -> None:
    with captured() as lines:
        try:
            fail()
        except KeyError as error:
            OURS.error("failed", exc_info=error)
            THEIRS.exception("went wrong: %s", error)
    assert SECRET not in lines.text
    ours, theirs = lines()
    for line in (ours, theirs):
        assert line["reason"] == "KeyError"
        assert [it["reason"] for it in line["causes"]] == ["ValueError"]
        assert line["trace"][-1].startswith("test_logs.py:")
        assert line["trace"][-1].endswith(" fail")
    assert theirs["event"] == "went wrong: KeyError"
    assert str(Path(__file__).parent) not in lines.text


def test_of_errors_that_came_together_each_is_told() -> None:
    with captured() as lines:
        try:
            fail()
        except KeyError as error:
            OURS.error("failed", exc_info=ExceptionGroup(SECRET, [error, OSError(SECRET)]))
    (line,) = lines()
    assert line["reason"] == "ExceptionGroup"
    assert [it["reason"] for it in line["causes"]] == ["KeyError", "OSError"]
    assert line["causes"][0]["trace"][-1].endswith(" fail")
    assert SECRET not in lines.text


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (f"broken\nTraceback …\nValueError: {SECRET}", "broken"),
        (f"Traceback (most recent call last):\n  File x\nValueError: {SECRET}\n", "ValueError"),
        (f"/a/b/c.py:12: UserWarning: {SECRET}\n  code()", "c.py:12: UserWarning"),
        ("no postgresql://somebody:word@db.example/x", "no postgresql://…@db.example/x"),
        ("token hul_abcDEF-123_x is wrong", "token hul_… is wrong"),
        (ValueError(SECRET), "ValueError"),
    ],
)
def test_what_a_library_says_is_kept_without_what_it_may_quote(message: object, told: str) -> None:
    with captured() as lines:
        THEIRS.warning(message)
    (line,) = lines()
    assert line["event"] == told


def test_the_address_of_an_object_is_not_told_by_a_client_that_tries_again() -> None:
    retries = urllib3.Retry(1, backoff_factor=0)
    with socket.socket() as nobody, captured() as lines:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/inbox/class-9e/Ida%20Lind.docx"
        failed = pytest.raises(urllib3.exceptions.HTTPError)
        with urllib3.PoolManager(retries=retries) as client, failed:
            client.request("GET", url)
    (line,) = lines.of("urllib3")
    assert line["event"].startswith("Retrying (Retry(total=0")
    assert "NewConnectionError" in line["event"]
    assert "Lind" not in lines.text


def test_a_task_that_fails_in_celery_is_told_by_the_class_of_its_error() -> None:
    app = celery.Celery(set_as_current=False)
    task = app.task(fail, name="a task", shared=False)
    with captured() as lines:
        task.apply(throw=False)
    (line,) = lines.of("celery")
    assert line["event"].startswith("Task a task[")
    assert line["event"].endswith("raised unexpected: KeyError")
    assert (line["reason"], line["trace"][-1].rpartition(" ")[2]) == ("KeyError", "fail")
    assert SECRET not in lines.text


def test_an_error_that_dagster_has_put_into_words_is_told_by_its_class() -> None:
    try:
        fail()
    except KeyError:
        found = serializable_error_info_from_exc_info(sys.exc_info())
    with captured() as lines:
        THEIRS.error("Caught error:\n%s", found)
    (line,) = lines()
    assert line["event"] == "Caught error: KeyError"
    assert SECRET not in lines.text


def test_of_libraries_there_are_warnings_and_errors_alone() -> None:
    THEIRS.setLevel(logging.DEBUG)
    try:
        with captured(logging.DEBUG) as lines:
            THEIRS.debug(SECRET)
            THEIRS.info(SECRET)
            THEIRS.warning("told", extra={"color_message": SECRET})
            OURS.debug("ours")
    finally:
        THEIRS.setLevel(logging.NOTSET)
    assert [it["event"] for it in lines()] == ["told", "ours"]
    assert SECRET not in lines.text


def test_keys_that_are_bound_are_in_every_line_of_the_block_and_in_none_after_it() -> None:
    with captured() as lines:
        with bound(corr_id="c1", batch_id="b1"):
            OURS.info("inside", extra={"batch_id": "b2"})
            THEIRS.warning("inside")
        OURS.info("after")
    ours, theirs, after = lines()
    assert (ours["corr_id"], ours["batch_id"]) == ("c1", "b2")
    assert theirs["corr_id"] == "c1"
    assert "corr_id" not in after


def test_what_is_shown_by_dagster_is_the_message_and_the_line_has_the_keys() -> None:
    with captured() as lines:
        record: dict[str, Any] = {"orig_message": "essay e001 of b1 failed", "run_id": "r1"}
        found = logging.makeLogRecord(
            {"name": f"{SHOWN}.essays", "levelno": logging.ERROR, "levelname": "ERROR"}
        )
        found.msg = "process_essays - r1 - essay e001 of b1 failed"
        vars(found).update(dagster_meta=record, batch_id="b1", error=ValueError(SECRET))
        shown("essays").handle(found)
    (line,) = lines()
    assert line["event"] == "essay e001 of b1 failed"
    assert (line["run_id"], line["batch_id"], line["reason"]) == ("r1", "b1", "ValueError")
    assert SECRET not in lines.text


def test_a_line_that_cannot_be_made_is_said_to_be_lost_and_quotes_nothing() -> None:
    stream = io.StringIO()
    record = logging.makeLogRecord({"name": OURS.name, "msg": "%d", "args": (SECRET,)})
    record.levelno = logging.ERROR
    LineHandler("json", stream).handle(record)
    lost = {"event": "line lost", "logger": OURS.name, "reason": "TypeError"}
    assert json.loads(stream.getvalue()) == lost


def test_an_extra_that_json_has_no_form_for_is_a_lost_line_and_not_nothing() -> None:
    around: dict[str, object] = {}
    around["around"] = around
    with captured() as lines:
        OURS.error("failed", extra={"found": around})
        OURS.error("failed", extra={"found": ValueError(SECRET)})
    lost, told = lines()
    assert (lost["event"], lost["reason"]) == ("line lost", "ValueError")
    assert told["found"] == "ValueError"
    assert SECRET not in lines.text


def test_words_for_people_cannot_steer_their_terminal() -> None:
    with captured(log_format="console") as lines:
        OURS.error("one\nline", extra={"found": "\x1b]0;title\x07\x1b[2J", "also": "two\nlines"})
    assert len(lines.text.splitlines()) == 1
    assert lines.text.rstrip("\n").isprintable()


_PROGRAM = """
import asyncio, logging, sys, threading, warnings
from huleedu_dagster.observability.logs import configure_service
from huleedu_dagster.settings import Settings
configure_service(Settings())
logging.getLogger("huleedu_dagster.tested").info("said", extra={"corr_id": "c1"})
"""
_FAULTS = """
def fail():
    raise ValueError("SECRET")
warnings.warn("SECRET", UserWarning)
thread = threading.Thread(target=fail)
thread.start()
thread.join()
class Odd:
    def __del__(self):
        fail()
Odd()
async def main():
    async def task():
        fail()
    lost = asyncio.create_task(task())
    await asyncio.sleep(0)
    del lost
asyncio.run(main())
fail()
"""


def run(program: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A program in a process of its own, whose standard error is no terminal."""
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_whatever_ends_badly_in_a_process_is_a_line_without_the_message() -> None:
    done = run(_PROGRAM + _FAULTS.replace("SECRET", SECRET))
    assert done.returncode == 1
    assert done.stdout == ""
    assert SECRET not in done.stderr
    lines = [json.loads(it) for it in done.stderr.splitlines()]
    assert [(it["event"], it.get("reason")) for it in lines] == [
        ("said", None),
        ("warning", "UserWarning"),
        ("thread failed", "ValueError"),
        ("error ignored", "ValueError"),
        ("Task exception was never retrieved", "ValueError"),
        ("process failed", "ValueError"),
    ]
    assert {it["level"] for it in lines[1:]} == {"warning", "error", "critical"}


@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full", "2>&- >&- <&-"])
def test_work_goes_on_when_nobody_can_take_its_lines(tmp_path: Path, closed: str) -> None:
    program = tmp_path / "program.py"
    done = tmp_path / "done"
    program.write_text(
        f"{_PROGRAM}\n"
        "logging.getLogger('somebody.elses').error('%d', 'no number')\n"
        "logging.getLogger('huleedu_dagster.tested').error('%d', 'no number')\n"
        f"open({str(done)!r}, 'w').close()\n"
    )
    subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" "$1" {closed}', sys.executable, str(program)],
        timeout=60,
        check=False,
    )
    assert done.exists()


def on_a_terminal(program: str, **environment: str) -> str:
    """What a program writes on a terminal."""
    leader, follower = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **environment},
            stdin=follower,
            stdout=follower,
            stderr=follower,
            timeout=60,
            check=True,
        )
        return os.read(leader, 100_000).decode()
    finally:
        os.close(leader)
        os.close(follower)


def _is_json(text: str) -> bool:
    return bool(json.loads(text)["corr_id"] == "c1")


def _is_coloured(text: str) -> bool:
    return "said" in text and "corr_id" in text and "\x1b[" in text


def _is_plain(text: str) -> bool:
    return "said" in text and "corr_id=c1" in text and "\x1b[" not in text


@pytest.mark.parametrize(
    ("settings", "is_right"),
    [
        ({"HULEEDU_LOG_FORMAT": "auto", "NO_COLOR": ""}, _is_coloured),
        ({"HULEEDU_LOG_FORMAT": "auto", "NO_COLOR": "1"}, _is_plain),
        ({"HULEEDU_LOG_FORMAT": "json", "NO_COLOR": ""}, _is_json),
    ],
)
def test_people_on_a_terminal_read_words_unless_json_is_asked_for(
    settings: dict[str, str], is_right: Callable[[str], bool]
) -> None:
    assert is_right(on_a_terminal(_PROGRAM, **settings))


def test_elsewhere_lines_are_json_unless_words_are_asked_for_and_heed_the_level() -> None:
    assert _is_json(run(_PROGRAM).stderr)
    assert _is_plain(run(_PROGRAM, HULEEDU_LOG_FORMAT="console").stderr)
    assert run(_PROGRAM, HULEEDU_LOG_LEVEL="warning").stderr == ""


def test_a_configuration_that_a_program_brings_does_not_double_its_lines() -> None:
    program = """
from dagster._utils.log import configure_loggers
configure_loggers(formatter="colored", log_level="DEBUG")
logging.getLogger("dagster.daemon").warning("once")
logging.getLogger("dagster.daemon").info("not at all")
"""
    done = run(_PROGRAM + program)
    assert done.stdout == ""
    assert [json.loads(it)["event"] for it in done.stderr.splitlines()] == ["said", "once"]
