"""`huleedu archive` as an operator meets it."""

import sqlite3
from pathlib import Path

import pytest

from tests.cli.in_process import Huleedu
from tests.cli.test_commands import Shell, folder_of


@pytest.mark.slow
def test_a_batch_released_long_ago_leaves_dagster_and_keeps_its_results(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    shell("run", folder_of(tmp_path / "class", 1), "--batch", "b1", "--expected", "1")
    assert shell.json("archive", "--older-than", "30") == {"archived": [], "found": []}
    with sqlite3.connect(shell.home / "ledger.db") as connection:
        connection.execute("update releases set released_at = '2020-01-01 00:00:00.000000'")
        connection.execute("update batches set reported_at = '2020-01-01 00:00:00.000000'")

    looked = shell.run("archive", "--older-than", "30", "--dry-run")
    assert (looked.stdout, looked.stderr) == ("b1\n", "Batches that would be archived: 1\n")
    done = shell.run("archive", "--older-than", "30")
    assert (done.stdout, done.stderr) == ("b1\n", "Batches archived: 1\n")
    again = shell.run("archive", "--older-than", "30")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "Batches archived: 0\n")
    assert shell.json("status", "b1")["status"] == "ready"


def test_what_is_not_old_is_not_archived(tmp_path: Path) -> None:
    refused = Shell(tmp_path / "home").run("archive", "--older-than", "1")
    assert refused.returncode == 2


@pytest.mark.parametrize("days", ["36526", "999999999", str(10**30)])
def test_a_time_before_the_calendar_began_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], days: str
) -> None:
    told = Huleedu(tmp_path / "home", monkeypatch, capsys)("archive", "--older-than", days, code=2)
    assert "--older-than" in told
