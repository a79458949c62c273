"""`huleedu tokens` as an operator meets it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from huleedu_dagster.cli.app import build_app
from huleedu_dagster.domain.access import Scope, hash_token, is_token
from huleedu_dagster.ledger.ledger import Ledger
from tests.cli.test_commands import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """The command line on a fresh home."""
    return Shell(tmp_path / "home")


def create(*more: str) -> tuple[str, ...]:
    return ("tokens", "create", "--name", "school", "--scope", "upload", *more)


def test_a_token_is_made_listed_without_its_secret_and_revoked(shell: Shell) -> None:
    made = shell.json(*create("--scope", "read"))
    assert set(made) == {"token_id", "name", "scopes", "token"}
    assert (made["name"], made["scopes"]) == ("school", ["read", "upload"])
    ledger = Ledger(f"sqlite:///{shell.home / 'ledger.db'}")
    with ledger.read() as tx:
        found = tx.tokens.find_by_hash(hash_token(made["token"]))
    assert found is not None
    assert found.scopes == {Scope.READ, Scope.UPLOAD}

    (listed,) = shell.json("tokens", "list")
    assert set(listed) == {
        "token_id",
        "name",
        "scopes",
        "created_at",
        "last_used_at",
        "revoked_at",
    }
    assert (listed["token_id"], listed["revoked_at"]) == (made["token_id"], None)
    shown = shell("tokens", "list")
    assert made["token_id"] in shown
    assert made["token"] not in shown
    assert found.token_hash not in shown

    assert shell("tokens", "revoke", made["token_id"]) == "school is revoked\n"
    assert shell("tokens", "revoke", made["token_id"]) == "school was already revoked\n"
    with ledger.read() as tx:
        assert tx.tokens.find_by_hash(found.token_hash) is None
    ledger.close()
    assert made["token_id"] not in shell("tokens", "list")
    (gone,) = shell.json("tokens", "list", "--all")
    assert gone["revoked_at"] is not None


def test_the_token_is_all_that_standard_output_holds(shell: Shell) -> None:
    done = shell.run(*create())
    assert done.returncode == 0, done.stderr
    assert is_token(done.stdout.removesuffix("\n"))
    assert "cannot be shown again" in done.stderr
    assert done.stdout.strip() not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["create", "--name", "school", "--scope", "read"], "a token named school exists"),
        (["create", "--name", " ", "--scope", "read"], "a token's name has 1 to 80 characters"),
        (["create", "--name", "other", "--scope", "admin"], "'admin' is not one of"),
        (["create", "--name", "other"], "--scope"),
        (["revoke", "0000"], "there is no token of this id"),
    ],
)
def test_a_wrong_request_is_a_sentence_and_exit_code_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    """In this process, which is quicker."""
    monkeypatch.setenv("HULEEDU_HOME", str(tmp_path / "home"))
    command, runner = build_app(), CliRunner()
    assert runner.invoke(command, create()).exit_code == 0
    done = runner.invoke(command, ["tokens", *arguments])
    assert done.exit_code == 2, done.output
    assert sentence in done.stderr
    assert done.stdout == ""
