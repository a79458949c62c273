"""What each process imports, by name: seconds are the machine's, a list of names is not.

Of the libraries this project depends on, and of its own parts, each path has those written down
here and no others. A new name needs a reason; one that is gone is taken out of the list.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from dagster import DagsterInstance
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.instance.ref import InstanceRef
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import serialize_value

from huleedu_dagster.orchestration.home import SERVER_CONFIG
from tests.support.world import World, range_tags

_OURS = "huleedu_dagster"
_SAMPLES = Path(__file__).parents[2] / "samples"

COMMAND = {
    "markdown_it": "of rich, for the help",
    "pydantic": "the domain's models",
    "rich": "tables, and the help that these tests ask for",
    "typer": "the command line",
}
HEALTH = {
    "pydantic": "the settings",
    "pydantic_settings": "the settings",
    "typer": "the command line",
}
DEFINITIONS = {
    "alembic": "Dagster's storage",
    "dagster": "it is Dagster that loads them",
    "pydantic": "the domain's models; Dagster's resources",
    "pydantic_settings": "the settings",
    "sqlalchemy": "the ledger; Dagster's storage",
    "yaml": "Dagster's configuration",
}
RUN = {
    **DEFINITIONS,
    "hunspell": "which words are names, or of one variety",
    "rapidfuzz": "how near two words are",
    "rich": "Dagster's command line",
    "structlog": "the lines of the log",
}
INTAKE = {
    "fastapi": "the interface",
    "prometheus_client": "the metrics",
    "pydantic": "what is asked and answered",
    "pydantic_settings": "the settings",
    "python_multipart": "the forms of uploads",
    "sqlalchemy": "the ledger",
    "rich": "of structlog",
    "starlette": "of fastapi",
    "structlog": "the lines of the log",
    "uvicorn": "the server",
}

_REPORT = """
import atexit, sys

@atexit.register
def report():
    with open({to!r}, "w") as out:
        out.write("\\n".join(list(sys.modules)))

{program}
"""
_EXECUTE = """
import runpy
sys.argv = ["dagster", "api", "execute_run", {arguments!r}]
runpy.run_module("dagster", run_name="__main__", alter_sys=True)
"""
_COMMAND = """
from huleedu_dagster.cli.app import main
sys.argv = ["huleedu", *{arguments!r}]
main()
"""
_INTAKE = """
from unittest.mock import patch
from huleedu_dagster.intake.__main__ import main
from huleedu_dagster.intake.serving import IntakeServer

def run(server):
    server.started = True

with patch.object(IntakeServer, "run", run):
    main([])
"""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a process had imported when it ended."""

    modules: frozenset[str]

    @property
    def libraries(self) -> set[str]:
        """The libraries this project depends on by name."""
        return {it.split(".")[0] for it in self.modules} & _dependencies()

    @property
    def parts(self) -> set[str]:
        """The parts of this project."""
        names = (it.split(".") for it in self.modules)
        return {it[1] for it in names if it[0] == _OURS and len(it) > 1}


def _dependencies() -> set[str]:
    """Import names of all that `pyproject.toml` names, for production and for development."""
    wanted = requires("huleedu-dagster")
    assert wanted
    found = {_canonical(re.split(r"[^A-Za-z0-9._-]", it)[0]) for it in wanted}
    # Brought by another, and heavy.
    found |= {"kubernetes", "starlette"}
    installed = packages_distributions().items()
    return {top for top, by in installed if {_canonical(it) for it in by} & found}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def loaded_by(program: str, folder: Path, *, exit_code: int = 0) -> Loaded:
    """Run a program in a process of its own, to its end."""
    report = folder / "modules.txt"
    text = _REPORT.format(to=str(report), program=program)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)
    assert done.returncode == exit_code, done.stderr
    return Loaded(frozenset(report.read_text().splitlines()))


def execution(reference: InstanceRef, job: ReconstructableJob, tags: dict[str, str]) -> str:
    """A program that executes a new run as a container does."""
    with DagsterInstance.from_ref(reference) as instance:
        origin = job.get_python_origin()
        run = instance.create_run_for_job(job.get_definition(), tags=tags, job_code_origin=origin)
    arguments = ExecuteRunArgs(origin, run.run_id, reference, set_exit_code_on_failure=True)
    return _EXECUTE.format(arguments=serialize_value(arguments))


@pytest.mark.usefixtures("world")
def test_loading_the_definitions_imports_no_more_than_it_may(tmp_path: Path) -> None:
    loaded = loaded_by("from huleedu_dagster import definitions; definitions.defs()", tmp_path)
    assert loaded.libraries == set(DEFINITIONS)
    assert loaded.parts.isdisjoint({"cli", "intake", "orchestration", "relay"})


def test_a_run_imports_no_more_than_it_may(world: World, tmp_path: Path) -> None:
    names = ("01-anna-lindqvist.docx", "04-david-nystrom.pdf", "05-elin-bergman.txt")
    world.register("b1", expected=len(names))
    world.hand_in("b1", {it: (_SAMPLES / it).read_bytes() for it in names})
    world.instance.add_dynamic_partitions("batch", ["b1"])
    world.instance.add_dynamic_partitions("essay", ["e001", "e002", "e003"])
    folder = str(world.settings.dagster_folder)
    reference = InstanceRef.from_dir(folder, config_filename=SERVER_CONFIG)
    definitions = ReconstructableRepository.for_module("huleedu_dagster.definitions", "defs")
    job = definitions.get_reconstructable_job("process_essays")

    loaded = loaded_by(execution(reference, job, range_tags("b1|e001", "b1|e003")), tmp_path)

    assert world.view("b1").ready == len(names)
    assert loaded.libraries == set(RUN)
    assert loaded.parts.isdisjoint({"cli", "intake", "orchestration", "relay"})


def test_a_command_brings_only_itself(tmp_path: Path) -> None:
    loaded = loaded_by(_COMMAND.format(arguments=["schemas", "--help"]), tmp_path)
    assert loaded.libraries == set(COMMAND)
    assert loaded.parts == {"cli", "domain"}
    modules = {it.removeprefix("huleedu_dagster.cli.") for it in loaded.modules}
    assert modules & {"app", "common", "schemas", "batches", "doctor"} == {
        "app",
        "common",
        "schemas",
    }


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("part", "more"),
    [
        ("code-server", set[str]()),
        ("web-server", set[str]()),
        ("daemon", {"sqlalchemy"}),
        ("intake", set[str]()),
    ],
)
def test_a_health_check_is_run_all_day_and_imports_little(
    part: str, more: set[str], tmp_path: Path
) -> None:
    # Port 1: nobody listens there.
    program = _COMMAND.format(arguments=["health", part, "--port", "1"])
    loaded = loaded_by(program, tmp_path, exit_code=1)
    assert loaded.libraries == set(HEALTH) | more
    assert loaded.parts.isdisjoint({"assets", "intake", "pipeline", "relay", "sensors"})


@pytest.mark.usefixtures("world")
def test_the_intake_imports_no_more_than_it_may(tmp_path: Path) -> None:
    loaded = loaded_by(_INTAKE, tmp_path)
    assert loaded.libraries == set(INTAKE)
    assert loaded.parts.isdisjoint({"assets", "cli", "orchestration", "relay", "reports"})
