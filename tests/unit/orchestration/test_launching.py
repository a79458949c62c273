"""What `dagster.yaml` and the command line of a worker say, and what they keep to themselves."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.orchestration.launching import launcher_config, worker_command
from huleedu_dagster.settings import Settings

_SECRET = "a-very-secret-word"
_BROKER = f"redis://:{_SECRET}@broker.school.example:6379/0"


def settings(home: Path, broker_url: str = _BROKER) -> Settings:
    return Settings(home=home, broker_url=broker_url)


def test_dagsters_configuration_names_the_launcher_and_not_the_password(tmp_path: Path) -> None:
    home = DagsterHome(settings(tmp_path))
    home.prepare()
    written = (home.folder / "dagster.yaml").read_text(encoding="utf-8")
    assert _SECRET not in written
    found = yaml.safe_load(written)
    assert found["run_launcher"]["class"] == "CrashSafeCeleryRunLauncher"
    assert found["run_monitoring"]["max_resume_run_attempts"] == 1
    assert found["run_coordinator"]["config"]["max_user_code_failure_retries"] > 1_000
    # What is not about the broker stays as it is on one machine.
    assert found["run_coordinator"]["config"]["max_concurrent_runs"] == 4
    assert found["run_retries"] == {"enabled": False}


def test_without_a_broker_the_code_server_starts_the_runs(tmp_path: Path) -> None:
    home = DagsterHome(settings(tmp_path, ""))
    home.prepare()
    assert "run_launcher" not in yaml.safe_load((home.folder / "dagster.yaml").read_text())


def test_the_command_of_a_worker_holds_no_password(tmp_path: Path) -> None:
    found = worker_command(settings(tmp_path))
    assert found[0] == sys.executable
    assert _SECRET not in " ".join(found)


@pytest.mark.parametrize("url", ["", "amqp://guest@broker//", "broker:6379"])
def test_a_broker_that_cannot_be_used_is_refused_with_what_to_do(tmp_path: Path, url: str) -> None:
    for ask in (launcher_config, worker_command):
        with pytest.raises(ValueError, match=r"HULEEDU_BROKER_URL .* redis://"):
            ask(settings(tmp_path, url))


def test_what_is_asked_for_on_one_machine_loads_no_celery() -> None:
    program = (
        "import sys; import huleedu_dagster.orchestration.launching; "
        "sys.exit(bool({'celery', 'kombu', 'redis', 'dagster'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
