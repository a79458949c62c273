"""`huleedu demo` as a person runs it in a fresh home: every check of the definitions passes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetCheckKey, DagsterInstance
from dagster._core.event_api import PartitionKeyFilter

from huleedu_dagster.definitions import defs
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.settings import Settings

DEMO = [sys.executable, "-m", "huleedu_dagster.cli.app", "demo", "--json"]


def demo(home: Path) -> dict[str, Any]:
    """Run the demo; what it printed."""
    done = subprocess.run(
        [*DEMO, "--home", str(home)],
        env={**os.environ, "HULEEDU_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def verdicts(instance: DagsterInstance, key: AssetCheckKey, partition: str) -> list[str]:
    """How the evaluations of a check came out for one partition, the latest first."""
    found = instance.event_log_storage.get_asset_check_execution_history(
        key, limit=10, partition_filter=PartitionKeyFilter(key=partition)
    )
    return [it.status.value for it in found]


def test_the_latest_evaluation_of_every_check_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HULEEDU_HOME", str(tmp_path))
    batch = demo(tmp_path)
    assert (batch["status"], batch["received"], batch["rejected"]) == ("ready", 12, 3)

    checks = defs().get_repository_def().asset_graph.asset_check_keys
    assert {it.asset_key.to_user_string() for it in checks} == {
        "raw_upload",
        "extracted_plaintext",
        "batch_manifest",
        "audit_report",
    }
    with DagsterHome(Settings()).instance() as instance:
        for key in checks:
            partitions = instance.get_materialized_partitions(key.asset_key)
            assert len(partitions) == (12 if "|" in min(partitions) else 1), key
            for partition in partitions:
                assert verdicts(instance, key, partition)[:1] == ["SUCCEEDED"], (key, partition)
