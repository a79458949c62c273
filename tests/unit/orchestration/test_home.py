"""What Dagster is told in the files of a home folder."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.settings import Settings

SECRET = "geheim"


def written(settings: Settings) -> dict[str, Any]:
    """What is in `dagster.yaml` after its preparation."""
    DagsterHome(settings).prepare()
    text = (settings.dagster_folder / "dagster.yaml").read_text()
    assert SECRET not in text
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_the_queue_is_looked_at_every_second_and_bounded_by_a_setting(tmp_path: Path) -> None:
    queue = written(Settings(home=tmp_path, max_runs=7))["run_coordinator"]
    assert queue["class"] == "QueuedRunCoordinator"
    assert queue["config"] == {"max_concurrent_runs": 7, "dequeue_interval_seconds": 1}


def test_runs_go_to_a_broker_where_one_is_named_and_the_queue_stays(tmp_path: Path) -> None:
    alone = written(Settings(home=tmp_path / "alone"))
    assert "run_launcher" not in alone
    broker = f"redis://:{SECRET}@broker.school.example:6379/0"
    found = written(Settings(home=tmp_path / "scale", max_runs=7, broker_url=broker))
    assert "Celery" in found["run_launcher"]["class"]
    queue = found["run_coordinator"]
    assert queue["class"] == "QueuedRunCoordinator"
    assert (
        queue["config"].items() >= {"max_concurrent_runs": 7, "dequeue_interval_seconds": 1}.items()
    )
    assert found["run_monitoring"].items() >= {"max_resume_run_attempts": 1}.items()
    assert found["run_retries"] == alone["run_retries"]


def test_a_process_is_told_how_many_connections_it_may_have_and_makes_no_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"postgresql://huleedu:{SECRET}@db.school.example/dagster"
    monkeypatch.setenv("HULEEDU_DAGSTER_DATABASE_URL", url)
    storage = written(Settings(home=tmp_path, dagster_connections=3))["storage"]["custom"]
    assert storage["config"] == {
        "connections": 3,
        "postgres_url": {"env": "HULEEDU_DAGSTER_DATABASE_URL"},
        "should_autocreate_tables": False,
    }


def test_dagster_keeps_no_messages_of_errors_whoever_starts_it(tmp_path: Path) -> None:
    # Each part of `huleedu up` and `huleedu serve` is started with this environment.
    environment = DagsterHome(Settings(home=tmp_path)).environment()
    assert environment["DAGSTER_REDACT_USER_CODE_ERRORS"] == "true"
    # On Kubernetes a run is a program of its own.
    chart = Path(__file__).parents[3] / "deploy" / "kubernetes" / "dagster.yaml"
    launcher = yaml.safe_load(chart.read_text())["run_launcher"]["config"]
    command = launcher["run_k8s_config"]["container_config"]["command"]
    assert "DAGSTER_REDACT_USER_CODE_ERRORS=true" in command


def test_parts_that_start_at_once_leave_whole_files_that_are_still_ours(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        chosen = [Settings(home=tmp_path, max_runs=number) for number in range(1, 9)]
        list(threads.map(lambda it: DagsterHome(it).prepare(), chosen))
    queue = written(Settings(home=tmp_path, max_runs=20))["run_coordinator"]
    assert queue["config"]["max_concurrent_runs"] == 20


def test_what_an_operator_wrote_is_left_alone(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    written(settings)
    (settings.dagster_folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    assert written(settings) == {"telemetry": {"enabled": False}}


@pytest.mark.parametrize("rest", [None, ""], ids=["as it was", "empty"])
def test_a_file_that_a_power_cut_kept_from_being_written_is_still_ours(
    rest: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Settings(home=tmp_path).dagster_folder / "dagster.yaml"
    written(Settings(home=tmp_path, max_runs=3))
    replace = Path.replace

    def cut_off(source: Path, target: Path) -> Path:
        if target == file:
            raise OSError("the power went")
        return replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", cut_off)
        with pytest.raises(OSError, match="the power went"):
            DagsterHome(Settings(home=tmp_path, max_runs=5)).prepare()
    if rest is not None:
        file.write_text(rest)
    queue = written(Settings(home=tmp_path, max_runs=5))["run_coordinator"]
    assert queue["config"]["max_concurrent_runs"] == 5
