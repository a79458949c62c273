"""`huleedu doctor` and the intake: does it answer, with a token, on a disk with room, in secret."""

import json
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from huleedu_dagster.domain.access import Scope, hash_token, new_token
from huleedu_dagster.intake.local_sign_in import first_token
from huleedu_dagster.intake.sessions import Sessions
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.orchestration.record import ServerRecord
from huleedu_dagster.settings import Settings
from tests.e2e.test_doctor import call, findings, home, open_ledger, web_server

__all__ = ["home"]


class Usage(NamedTuple):
    """What the system tells about a disk, bytes."""

    total: int
    used: int
    free: int


def found_while_up(home: Path, ready: int = 200, *, answers: bool = True) -> tuple[int, Any]:
    """What is found while `up` runs, its intake being so ready."""
    settings = Settings(home=home)
    with web_server(time.time(), ready=ready) as port, DagsterHome(settings).exclusive("up"):
        intake_port = port if answers else 1
        ServerRecord(pid=1, port=port, intake_port=intake_port, groups=()).write(settings)
        return findings(home)


def test_an_intake_that_answers_is_well(home: Path) -> None:
    code, checks = found_while_up(home)
    assert code == 0
    assert checks["intake"]["found"].startswith("answers on port ")


def test_an_intake_without_its_ledger_or_store_is_found(home: Path) -> None:
    code, checks = found_while_up(home, ready=503)
    assert code == 1
    assert "cannot use its ledger or its blob store" in checks["intake"]["found"]


def test_an_intake_that_is_silent_or_somebody_else_is_found(home: Path) -> None:
    code, checks = found_while_up(home, answers=False)
    assert code == 1
    assert "does not answer on port 1; see logs/intake.log" in checks["intake"]["found"]
    code, checks = found_while_up(home, ready=404)
    assert code == 1
    assert "another program" in checks["intake"]["found"]


def test_where_up_does_not_run_nobody_asks_for_the_intake(home: Path) -> None:
    code, checks = findings(home)
    assert code == 0
    assert "intake" not in checks
    assert "API tokens" not in checks


def test_an_intake_that_nobody_can_hand_in_to_is_found(home: Path) -> None:
    with open_ledger(home) as ledger, ledger.write() as tx:
        tx.tokens.create("reader", [Scope.READ], hash_token(new_token()))
        revoked = tx.tokens.create("old", [Scope.UPLOAD], hash_token(new_token()))
        tx.tokens.revoke(revoked.token_id)
    code, checks = found_while_up(home)
    assert code == 1
    assert checks["API tokens"]["found"].startswith("none that may hand in files")
    # A home that is used on the command line alone needs no token.
    code, checks = findings(home)
    assert (code, checks["API tokens"]["ok"]) == (0, True)


def test_the_first_token_is_a_usable_one_until_it_is_revoked(home: Path) -> None:
    settings = Settings(home=home)
    with open_ledger(home) as ledger:
        token = first_token(ledger, settings.token_file)
        code, checks = found_while_up(home)
        assert code == 0
        assert checks["API tokens"]["found"] == "1 valid, 1 may hand in files"
        with ledger.write() as tx:
            tx.tokens.revoke(token.token_id)
            tx.tokens.create("other", [Scope.UPLOAD], hash_token(new_token()))
    code, checks = findings(home)
    assert code == 1
    assert "intake-token works no more" in checks["API tokens"]["found"]


def test_no_secret_is_printed(home: Path) -> None:
    settings = Settings(home=home)
    with open_ledger(home) as ledger:
        first_token(ledger, settings.token_file)
    _, text = call(home)
    _, values = call(home, "--json")
    secret = settings.token_file.read_text().strip()
    assert secret not in text + values


@pytest.mark.parametrize(("free", "ok"), [(100_000_000, True), (99_999_999, False)])
def test_a_disk_without_room_for_the_largest_file_is_found(
    home: Path, monkeypatch: pytest.MonkeyPatch, free: int, *, ok: bool
) -> None:
    monkeypatch.setenv("HULEEDU_MAX_UPLOAD_BYTES", "50000000")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9 - free, free))
    code, checks = findings(home)
    assert code == (0 if ok else 1)
    assert checks["room on the disk"]["found"].startswith("100 MB free")
    assert ("HULEEDU_MAX_UPLOAD_BYTES" in checks["room on the disk"]["found"]) is not ok


def test_secrets_that_others_may_read_are_found(home: Path) -> None:
    settings = Settings(home=home)
    Sessions.of(settings)
    with open_ledger(home) as ledger:
        first_token(ledger, settings.token_file)
    code, checks = findings(home)
    assert (code, checks["secret files"]["found"]) == (0, "for their owner alone")
    for path in (settings.token_file, settings.session_key_file):
        path.chmod(0o640)
        code, checks = findings(home)
        assert code == 1
        assert f"others may read {path.name}: `chmod 600 {path.name}`" in json.dumps(checks)
        path.chmod(0o600)
    assert findings(home)[0] == 0


def test_what_an_up_of_before_the_intake_left_can_still_be_read(home: Path) -> None:
    settings = Settings(home=home)
    settings.dagster_folder.mkdir(parents=True)
    text = json.dumps({"pid": 1, "port": 3000, "groups": [7]})
    (settings.dagster_folder / "server.json").write_text(text)
    assert ServerRecord.read(settings) == ServerRecord(1, 3000, intake_port=0, groups=(7,))
