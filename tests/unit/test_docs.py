"""The documents keep their word: every command runs, every table says what the code says."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from huleedu_dagster.cli.app import build_app
from huleedu_dagster.cli.common import Exit
from huleedu_dagster.domain.outcomes import EXPLANATIONS, WARNINGS
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.pipeline.essays import record_attempt
from huleedu_dagster.pipeline.intake import Intake
from huleedu_dagster.settings import Settings
from huleedu_dagster.storage.local import LocalBlobStore

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
NAMES = [path.relative_to(ROOT).as_posix() for path in DOCUMENTS]
SHELL = {"mkdir", "cp", "touch", "printf"}
NOT_RUN = {"make", "."}
_BLOCK = re.compile(
    r"(?:<!-- given: (?P<given>[^\n]*) -->\n)?```sh\n(?P<body>.*?)^```", re.M | re.S
)
_EXIT_CODE = re.compile(r"# exit code (\d)")
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


@dataclass(frozen=True)
class Line:
    """One command of a document; `given` is what has to be so before it."""

    text: str
    given: str = ""

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text, comments=True)

    @property
    def exit_code(self) -> int:
        found = _EXIT_CODE.search(self.text)
        return int(found[1]) if found else 0


def lines_of(document: Path) -> Iterator[Line]:
    for block in _BLOCK.finditer(document.read_text(encoding="utf-8")):
        given = block["given"] or ""
        for text in filter(str.strip, block["body"].splitlines()):
            yield Line(text, given)
            given = ""


LINES = [
    (name, line) for name, path in zip(NAMES, DOCUMENTS, strict=True) for line in lines_of(path)
]


def a_dead_letter(home: Path) -> None:
    """An essay of a closed batch whose runs failed three times."""
    ledger = Ledger(f"sqlite:///{home / 'ledger.db'}")
    ledger.migrate()
    lifecycle.register(ledger, "class-9d", settings=BatchSettings(), expected_essay_count=1)
    essay = ROOT / "samples" / "01-anna-lindqvist.docx"
    store = LocalBlobStore(home / "blobs")
    receipt = Intake(ledger, store, 99).receive("class-9d", essay.name, essay.read_bytes())
    for number in range(3):
        record_attempt(
            ledger,
            "class-9d",
            str(receipt.slot),
            run_id=f"run-{number}",
            reason="OSError",
            max_attempts=3,
        )
    ledger.close()


def _assignment(text: str) -> tuple[str, str, str]:
    return text.partition("=")


GIVEN: dict[str, Callable[[Path], None]] = {"a dead letter": a_dead_letter}


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the words call, and the words behind it."""
    found: Any = typer.main.get_command(build_app())
    rest = words[1:]
    while rest and rest[0] in getattr(found, "commands", {}):
        found, rest = found.commands[rest[0]], rest[1:]
    return found, rest


@pytest.mark.parametrize(("name", "line"), LINES, ids=[f"{it[0]}: {it[1].text}" for it in LINES])
def test_every_command_exists_with_its_options(name: str, line: Line) -> None:
    program, *rest = line.words
    if program == "make":
        targets = re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert [it for it in rest if "=" not in it and it not in targets] == []
    elif program == "huleedu":
        command, behind = command_of(line.words)
        assert not hasattr(command, "commands"), "a group is no command"
        known = {option for parameter in command.params for option in parameter.opts}
        assert {it for it in behind if it.startswith("--")} <= known | {"--help"}
    else:
        assert program in {"export", *SHELL, *NOT_RUN}, "the test does not know this program"


@pytest.mark.slow
@pytest.mark.parametrize(
    "document", [it for it in DOCUMENTS if any(lines_of(it))], ids=lambda it: str(it.name)
)
def test_the_commands_of_a_document_run_one_after_the_other(document: Path, tmp_path: Path) -> None:
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    (tmp_path / "schemas").symlink_to(ROOT / "schemas")
    home = tmp_path / ".huleedu"
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": path, "HULEEDU_HOME": str(home)}
    for line in lines_of(document):
        program, *rest = line.words
        if line.given:
            GIVEN[line.given](home)
        if program == "export":
            environment.update({name: value for name, _, value in map(_assignment, rest)})
        if program in NOT_RUN | {"export"} or line.words[:2] == ["huleedu", "up"]:
            continue
        done = subprocess.run(
            ["bash", "-c", line.text],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == line.exit_code, f"{line.text}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_link_inside_the_project_leads_somewhere(document: Path) -> None:
    links = _LINK.findall(document.read_text(encoding="utf-8"))
    inside = [it for it in links if not it.startswith("http")]
    assert [it for it in inside if not (document.parent / it).exists()] == []


def test_the_error_codes_are_those_of_the_code() -> None:
    rows = table_rows(ROOT / "docs" / "error-codes.md")
    expected = [(f"`{code}`", it.sentence, it.next_step) for code, it in EXPLANATIONS.items()]
    expected_warnings = [(f"`{name}`", text) for name, text in WARNINGS.items()]
    assert [it for it in rows if it[0].startswith("`")] == [*expected, *expected_warnings]


def test_the_page_of_settings_lists_every_one_with_its_default() -> None:
    page = table_rows(ROOT / "docs" / "settings.md")
    rows = {it[0]: it[1] for it in page if it[0].startswith("`HULEEDU_")}
    defaults = {
        f"`HULEEDU_{name.upper()}`": shown(field.get_default(call_default_factory=True))
        for name, field in Settings.model_fields.items()
    }
    in_the_home_of_a_user = {
        "`HULEEDU_HOME`": "`~/.huleedu`",
        "`HULEEDU_SPELLING_CACHE`": "`~/.cache/huleedu-dagster`",
    }
    assert rows == {**defaults, **in_the_home_of_a_user}


def shown(value: object) -> str:
    """A default as the table shows it."""
    if value in ("", None):
        return "empty"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def test_the_readme_lists_every_exit_code() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Exit codes")[2]
    assert re.findall(r"^\| (\d+) \|", text, re.MULTILINE) == [str(it.value) for it in Exit]


def table_rows(document: Path) -> list[tuple[str, ...]]:
    """Cells of every row of every table."""
    lines = document.read_text(encoding="utf-8").splitlines()
    return [
        tuple(cell.strip() for cell in line.strip().strip("|").split("|"))
        for line in lines
        if line.startswith("| ")
    ]
