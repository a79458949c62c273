"""`huleedu history`: what was done from the command line and elsewhere, when and by whom."""

import json
import os
import pwd
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from huleedu_dagster.domain.actions import Actor
from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.pipeline import lifecycle
from tests.cli.in_process import Huleedu
from tests.unit.test_docs import a_dead_letter

ME = pwd.getpwuid(os.geteuid()).pw_name
GOOD = b"This essay is about teh sea and the ships on it."


class History(Huleedu):
    """Commands on a home of their own, and what its journal tells."""

    def history(self, *arguments: str) -> list[dict[str, Any]]:
        """The JSON form of a history."""
        found: list[dict[str, Any]] = self.json("history", *arguments)
        return found

    def ledger(self) -> Ledger:
        """The ledger of the home."""
        return Ledger(f"sqlite:///{self.home / 'ledger.db'}")


@pytest.fixture
def huleedu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> History:
    """The command on a fresh home."""
    return History(tmp_path / "home", monkeypatch, capsys)


@pytest.fixture
def essay(tmp_path: Path) -> str:
    """The path of a good essay."""
    path = tmp_path / "anna-secret.txt"
    path.write_bytes(GOOD)
    return str(path)


def test_what_the_command_line_does_is_of_the_account_that_does_it(
    huleedu: History, essay: str
) -> None:
    huleedu("register", "class-a", "--expected", "3")
    for _ in range(2):
        huleedu("register", "class-a", "--update", "--language", "de")
    for _ in range(2):
        huleedu("submit", essay, "--batch", "class-a")
    huleedu("close", "class-a")
    huleedu("close", "class-a")
    huleedu("waive", "class-a", "e002", "--reason", "ill")
    huleedu("reopen", "class-a")
    huleedu("waive", "class-a", "e001", "--reason", "ill", code=2)
    found = huleedu.history("class-a")
    assert [(it["action"], it["amount"], it["essay_id"]) for it in found] == [
        ("registered", 1, None),
        ("settings_changed", 1, None),
        ("received", 1, None),
        ("unchanged", 1, None),
        ("closed", 1, None),
        ("waived", 1, "e002"),
        ("reopened", 1, None),
    ]
    assert {(it["actor_kind"], it["actor_id"], it["who"]) for it in found} == {
        ("operator", ME, f"operator {ME}")
    }
    moments = [datetime.fromisoformat(it["at"]) for it in found]
    assert moments == sorted(moments)
    shown = huleedu("history", "class-a")
    for words in (f"operator {ME}", "handed in 1 file again as before", "waived e002"):
        assert words in " ".join(shown.split()), shown
    assert "secret" not in shown


def test_tokens_are_told_by_name_and_a_day_tells_of_all_batches(huleedu: History) -> None:
    made = json.loads(
        huleedu("tokens", "create", "--name", "portal", "--scope", "register", "--json")
    )
    ledger = huleedu.ledger()
    acting = ledger.acting(Actor.token(made["token_id"]))
    for batch_id in ("class-a", "class-b"):
        lifecycle.register(acting, batch_id, settings=BatchSettings())
    lifecycle.close(ledger, "class-b", ClosedBy.QUIET)
    for _ in range(2):
        huleedu("tokens", "revoke", made["token_id"])
    named = f"token portal ({made['token_id']})"
    days = {f"{moment:%Y-%m-%d}" for moment in (datetime.now(UTC), _first(ledger))}
    found = [it for day in sorted(days) for it in huleedu.history("--day", day)]
    assert [(it["who"], it["what"], it["batch_id"]) for it in found] == [
        (f"operator {ME}", f"made {named}", None),
        (named, "registered the batch", "class-a"),
        (named, "registered the batch", "class-b"),
        ("system (pipeline)", "closed the batch", "class-b"),
        (f"operator {ME}", f"revoked {named}", None),
    ]
    assert made["token"] not in str(found)
    assert huleedu.history("--day", "2020-01-01") == []
    ledger.close()


def _first(ledger: Ledger) -> datetime:
    with ledger.read() as tx:
        return tx.actions.of_batch("class-a")[0].acted_at


def test_a_dead_letter_that_is_replayed_is_told(huleedu: History, essay: str) -> None:
    huleedu("status")
    a_dead_letter(huleedu.home)
    huleedu("dlq", "replay", "1")
    huleedu("dlq", "replay", "1", code=2)
    found = huleedu.history("class-9d")
    assert [(it["action"], it["essay_id"]) for it in found if it["actor_kind"] == "operator"] == [
        ("replayed", "e001")
    ]


def test_an_account_without_a_name_is_told_by_its_number(
    huleedu: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(number: int) -> pwd.struct_passwd:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setenv("LOGNAME", "somebody-else")
    huleedu("register", "class-a")
    (found,) = huleedu.history("class-a")
    assert found["actor_id"] == f"uid {os.geteuid()}"


def test_one_batch_or_one_day_is_asked_for(huleedu: History) -> None:
    assert "no batch class-z is registered" in huleedu("history", "class-z", code=2)
    assert "--day" in huleedu("history", code=2)
    assert "--day" in huleedu("history", "class-a", "--day", "2026-01-01", code=2)
    assert "2026-13-01" in huleedu("history", "--day", "2026-13-01", code=2)
    said = huleedu("history", "--day", "9999-12-31", code=2)
    assert "a day is from 2000-01-01 to 2999-12-31" in said


def test_a_batch_of_before_the_journal_has_no_history_and_that_is_said(huleedu: History) -> None:
    huleedu("register", "class-a")
    ledger = huleedu.ledger()
    with ledger.write() as tx:
        tx.connection.exec_driver_sql("DELETE FROM actions")
    ledger.close()
    assert huleedu.history("class-a") == []
    shown = huleedu("history", "class-a")
    assert "Nothing is recorded" in shown
    assert "registered" not in shown
