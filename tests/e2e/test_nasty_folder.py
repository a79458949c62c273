"""Two classes of good and nasty documents through `huleedu run`: each has its expected result."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance

from huleedu_dagster.domain.outcomes import WARNINGS
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.pipeline.essay_views import essay_view
from huleedu_dagster.pipeline.lifecycle import dead_letters
from huleedu_dagster.settings import Settings
from huleedu_dagster.storage.local import LocalBlobStore
from tests.factory.case import CANARY, Case
from tests.factory.nasty_folder import classes, write_folder
from tests.support.sandboxes import sandbox_processes, wait_until

_STUDENT = "Lindqvist"
_LIMITS = {
    "HULEEDU_EXTRACTION_CPU_SECONDS": "2",
    "HULEEDU_EXTRACTION_MEMORY_BYTES": str(192 * 1024**2),
}


@dataclass(frozen=True)
class HandedIn:
    """A class that was handed in with `huleedu run`, and what came of it."""

    batch: str
    cases: Sequence[Case]
    home: Path
    process: int
    exit_code: int
    out: str
    err: str

    @cached_property
    def view(self) -> dict[str, Any]:
        """What the command printed."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @cached_property
    def essays(self) -> dict[str, dict[str, Any]]:
        """The lines of the batch's table, by the path of the case."""
        return {it["file_name"].removeprefix(f"{_STUDENT}/"): it for it in self.view["essays"]}

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, for reading."""
        return Ledger(f"sqlite:///{self.home / 'ledger.db'}")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for both classes."""
    return tmp_path_factory.mktemp("nasty") / "home"


@pytest.fixture(scope="module", params=[0, 1], ids=["one half", "the other half"])
def handed_in(
    request: pytest.FixtureRequest, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> HandedIn:
    """One half of all documents, handed in by one command."""
    cases = classes()[request.param]
    batch = f"class-{request.param}"
    folder = tmp_path_factory.mktemp(batch)
    write_folder(folder / _STUDENT, cases)
    words = folder.with_suffix(".txt")
    words.write_text(_words(cases), encoding="utf-8")
    command = [sys.executable, "-m", "huleedu_dagster.cli.app", "run", str(folder), "--json"]
    with subprocess.Popen(
        [*command, "--batch", batch, "--word-list", str(words)],
        env={**os.environ, **_LIMITS, "HULEEDU_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return HandedIn(batch, cases, home, process.pid, process.returncode, out, err)


def _words(cases: Sequence[Case]) -> str:
    """All words of the good documents: spelling is not what is looked at here."""
    found = {word for case in cases for word in re.findall(r"\w+", case.text or "")}
    return "\n".join(sorted(found))


def test_every_document_is_accepted_or_rejected_with_its_code(handed_in: HandedIn) -> None:
    found = {path: it["code"] or it["outcome"] for path, it in handed_in.essays.items()}
    expected = {it.path: it.code or "accepted" for it in handed_in.cases}
    _agree(found, expected)


def test_every_good_document_comes_out_as_its_exact_text_with_its_warnings(
    handed_in: HandedIn,
) -> None:
    blobs = LocalBlobStore(handed_in.home / "blobs")
    good = [it for it in handed_in.cases if it.text is not None]
    expected = {
        it.path: (it.text, " ".join(WARNINGS[warning] for warning in it.warnings)) for it in good
    }
    found = {}
    for path in expected:
        line = handed_in.essays[path]
        view = essay_view(handed_in.ledger, blobs, handed_in.batch, line["essay_id"])
        found[path] = (view["text"], line["message"])
    _agree(found, expected)
    corrected = handed_in.home / "results" / handed_in.batch / "corrected"
    assert len(list(corrected.iterdir())) == len(good) > 25


def _agree(found: Mapping[str, object], expected: Mapping[str, object]) -> None:
    wrong = [
        f"{path}: expected {expected.get(path)!r}, got {found.get(path)!r}"
        for path in sorted(expected.keys() | found.keys())
        if expected.get(path) != found.get(path)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_command_ends_as_ready_in_one_run_and_leaves_nothing_behind(
    handed_in: HandedIn,
) -> None:
    assert handed_in.exit_code == 0, handed_in.err
    rejected = sum(it.code is not None for it in handed_in.cases)
    counts = {"ready": len(handed_in.cases) - rejected, "rejected": rejected, "missing": 0}
    assert {name: handed_in.view[name] for name in counts} == counts
    assert dead_letters(handed_in.ledger) == []
    wait_until(lambda: not sandbox_processes(owner=handed_in.process))
    with DagsterHome(Settings(home=handed_in.home)).instance() as instance:
        assert _runs_of(instance, handed_in.batch) == ["SUCCESS"]


def _runs_of(instance: DagsterInstance, batch: str) -> list[str]:
    runs = instance.get_runs()
    found = [it for it in runs if it.job_name == "process_essays" and batch in str(it.tags)]
    return [it.status.value for it in found]


def test_no_text_and_no_file_name_is_in_any_log(handed_in: HandedIn) -> None:
    # Standard output is one JSON value: no log line is in it.
    assert set(handed_in.view) > {"batch_id", "essays"}
    logged = {"standard error": handed_in.err.encode()}
    for folder in (handed_in.home / "dagster", handed_in.home / "logs"):
        logged |= {str(it): it.read_bytes() for it in folder.rglob("*") if it.is_file()}
    assert len(logged) > 5
    secrets = [CANARY.lower().encode(), _STUDENT.lower().encode()]
    for name, content in logged.items():
        assert not any(secret in content.lower() for secret in secrets), name
