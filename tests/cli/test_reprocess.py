"""`huleedu reprocess` as an operator meets it."""

import sqlite3
from pathlib import Path

import pytest

from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.pipeline.lifecycle import register
from tests.cli.test_commands import Shell, folder_of


def spelling_versions(shell: Shell) -> list[tuple[str, str]]:
    """Slot and code version of every spelling that was ever stored, the first first."""
    query = (
        "select slot, code_version from stage_outcomes"
        " where stage = 'spellcheck_result' order by outcome_id"
    )
    with sqlite3.connect(shell.home / "ledger.db") as connection:
        return connection.execute(query).fetchall()


@pytest.mark.slow
def test_essays_are_worked_over_again_and_then_the_stale_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = Shell(tmp_path / "home")
    shell("run", folder_of(tmp_path / "class", 2), "--batch", "b1", "--expected", "2")
    (first, code), second = spelling_versions(shell)
    monkeypatch.setenv("HULEEDU_SPELLING_REVISION", "2")

    assert shell.json("reprocess", "b1", "e002", "--wait")["status"] == "ready"

    stored = [(first, code), second, ("e002", f"{code} revision 2")]
    assert spelling_versions(shell) == stored
    done = shell.run("reprocess", "b1", "--stale")
    assert (done.returncode, done.stderr) == (0, "Essays to be worked over again: 1\n")
    assert spelling_versions(shell) == stored, "nobody waited for it"


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    ledger = Ledger(f"sqlite:///{shell.home / 'ledger.db'}")
    ledger.migrate()
    register(ledger, "b1", settings=BatchSettings())
    ledger.close()
    refused = shell.run("reprocess", "b1", "e001")
    assert (refused.returncode, refused.stderr) == (2, "huleedu: the batch has no essay e001\n")
    both = shell.run("reprocess", "b1", "e001", "--stale")
    assert (both.returncode, both.stderr) == (2, "huleedu: --stale chooses the essays itself\n")
