"""docs/production.md says what the compose files say, and its commands would be understood."""

import fnmatch
import re
import shlex
from functools import cache
from typing import Any

import pytest

from tests.e2e.compose_files import MAIN, OF_STORES, ROOT, SCALE, SECRETS, compose, configuration
from tests.unit.test_docs import command_of, table_rows

DOCUMENT = ROOT / "docs" / "production.md"
_MIB = 1024**2
_INDENTED = re.compile(r"^    (docker compose (?:.*\\\n)*.*)$", re.MULTILINE)
_OPTION = re.compile(r"(?:(-\w), )?(--[\w-]+)")
# Options of compose itself, and of those of its commands that take a value.
_FILES = "-f"
_VALUED = {"--entrypoint", "--output"}
_ON_SERVICES = {"build", "exec", "logs", "run", "stop", "up"}


def commands() -> list[str]:
    text = DOCUMENT.read_text(encoding="utf-8")
    shown = [it.replace("\\\n", " ") for it in _INDENTED.findall(text)]
    return [*shown, *re.findall(r"`(docker compose [^`]+)`", text)]


def test_git_leaves_alone_what_the_documents_have_people_write_into_the_checkout() -> None:
    pattern = re.compile(r"> ([\w.-]+)$|--from-env-file ([\w.-]+)", re.MULTILINE)
    named = {".env", "settings.env"}
    for name in ("production", "metrics", "kubernetes"):
        text = (DOCUMENT.parent / f"{name}.md").read_text(encoding="utf-8")
        named |= {it for pair in pattern.findall(text) for it in pair if it}
    assert named > {"ledger.dump", "blobs.tar", "metrics-token", "databases.env"}
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    # By name, wherever it is.
    assert [it for it in named if not any(fnmatch.fnmatchcase(it, one) for one in ignored)] == []


def test_a_backup_is_for_nobody_else_to_read_and_what_comes_later_is_for_containers() -> None:
    blocks = re.findall(r"(?:^    .+\n)+", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    (backup,) = (it.split("\n") for it in blocks if "> ledger.dump" in it)
    assert (backup[0].strip(), backup[-2].strip()) == ("umask 077", "umask 022")


@cache
def options_of(command: str) -> frozenset[str]:
    helped = compose(command, "--help").stdout
    return frozenset(name for found in _OPTION.findall(helped) for name in found if name)


@cache
def services(files: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = configuration(files, {**SECRETS, **OF_STORES})["services"]
    return found


@pytest.mark.parametrize("line", commands())
def test_every_command_is_one_that_compose_and_huleedu_know(line: str) -> None:
    words = shlex.split(line.partition(" > ")[0])[2:]
    files = []
    while words[0] == _FILES:
        files.append(words[1])
        words = words[2:]
    command, *rest = words
    assert options_of(command), f"compose has no command {command}"
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        assert option in options_of(command), option
        if option in _VALUED:
            rest.pop(0)
    if command not in _ON_SERVICES:
        return
    known = services(tuple(files) or (MAIN,))
    named = rest if command not in {"exec", "run"} else rest[:1]
    assert [it for it in named if it not in known] == []
    if rest[1:2] == ["huleedu"]:
        found, behind = command_of(rest[1:])
        options = {option for parameter in found.params for option in parameter.opts}
        assert {it for it in behind if it.startswith("--")} <= options


def connections_of(name: str, service: dict[str, Any]) -> str:
    """What a service may hold at most; see `test_deployment_files`."""
    told = service.get("environment", {})
    if "HULEEDU_LEDGER_URL" not in told or name == "set-up":
        return ""
    each = int(told["HULEEDU_LEDGER_CONNECTIONS"]) + int(told["HULEEDU_DAGSTER_CONNECTIONS"])
    runs = int(told["HULEEDU_MAX_RUNS"]) if name == "code-server" else 0
    # A health check is one; with another, the daemon is the only one.
    return str((1 + runs) * each + 1 + (name == "daemon"))


def memory_of(service: dict[str, Any]) -> str:
    amount = int(service["mem_limit"]) // _MIB
    return f"{amount} MiB" if amount % 1024 else f"{amount // 1024} GiB"


def test_the_table_of_services_says_what_the_file_says() -> None:
    known = services((MAIN,))
    expected = [
        (
            f"`{name}`",
            " ".join(str(port["published"]) for port in it.get("ports", ())),
            memory_of(it),
            connections_of(name, it),
        )
        for name, it in known.items()
    ]
    rows = [it for it in table_rows(DOCUMENT) if it[0].strip("`") in known]
    assert sorted((row[0], *row[2:5]) for row in rows) == sorted(expected)


def test_the_table_of_secrets_names_each_and_who_has_it() -> None:
    known = services((MAIN, SCALE))
    rows = {it[0].strip("`"): it[2] for it in table_rows(DOCUMENT) if it[0].strip("`") in SECRETS}
    assert rows.keys() == SECRETS.keys()
    for secret, holders in rows.items():
        value = SECRETS[secret]
        has_it = {name for name, it in known.items() if value in str(it.get("environment", {}))}
        named = set(re.findall(r"`([\w-]+)`", holders))
        assert named <= has_it, secret
        if "every part" not in holders and secret != "HULEEDU_BROKER_PASSWORD":
            assert named == has_it - {"worker"}, secret
