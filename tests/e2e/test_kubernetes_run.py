"""A run as Kubernetes would execute it: the job that the launcher asks for, run as a process."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.instance.ref import InstanceRef
from kubernetes import client  # type: ignore[import-untyped]

from huleedu_dagster.orchestration.home import SERVER_CONFIG, DagsterHome
from huleedu_dagster.settings import Settings
from tests.support.kubernetes_files import document, understood
from tests.support.postgres import postgres_database
from tests.support.world import GOOD, World, range_tags

_IMAGE = "registry.example/huleedu-dagster:9.9.9"
_CLUSTER = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "here",
    "contexts": [{"name": "here", "context": {"cluster": "here", "user": "nobody"}}],
    "users": [{"name": "nobody", "user": {}}],
}


@contextmanager
def cluster() -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    """An API server that takes jobs and starts none; gives its URL and what was asked for."""
    asked: list[tuple[str, dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, json.loads(body)))
            self.send_response(201)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def dagsters_database(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Dagster's database, with its tables, in the environment."""
    with postgres_database(migrated=False) as url:
        monkeypatch.setenv("HULEEDU_DAGSTER_DATABASE_URL", url)
        for name, value in (("DAGSTER_CONNECTIONS", "5"), ("MAX_RUNS", "8")):
            world.setting(name, value)
        DagsterHome(Settings()).prepare()
        DagsterHome(Settings()).make_tables()
        yield url


def daemons_instance(folder: Path, url: str) -> DagsterInstance:
    """The instance of the daemon's pod, but for where the cluster is."""
    (folder / "cluster.yaml").write_text(
        yaml.safe_dump({**_CLUSTER, "clusters": [{"name": "here", "cluster": {"server": url}}]})
    )
    configuration = document(SERVER_CONFIG)
    configuration["run_launcher"]["config"] |= {
        "load_incluster_config": False,
        "kubeconfig_file": str(folder / "cluster.yaml"),
    }
    (folder / SERVER_CONFIG).write_text(yaml.safe_dump(configuration))
    return DagsterInstance.from_ref(InstanceRef.from_dir(str(folder)))


def launched(instance: DagsterInstance, batch: str, slots: list[str]) -> DagsterRun:
    """Have a run of essays launched, as the daemon does with what is queued."""
    instance.add_dynamic_partitions("batch", [batch])
    instance.add_dynamic_partitions("essay", slots)
    code = ReconstructableRepository.for_module(
        "huleedu_dagster.definitions", "defs", container_image=_IMAGE
    )
    job = code.get_reconstructable_job("process_essays")
    run = instance.create_run_for_job(
        job.get_definition(),
        tags=range_tags(f"{batch}|{slots[0]}", f"{batch}|{slots[-1]}"),
        job_code_origin=job.get_python_origin(),
    )
    return instance.launch_run(run.run_id, None)  # type: ignore[arg-type]


def executed(job: dict[str, Any], given: dict[str, str]) -> None:
    """Do what a node does: run the container's command with its environment and no other."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    stated = {it["name"]: it["value"] for it in container["env"]}
    path = os.pathsep.join((str(Path(sys.executable).parent), os.defpath))
    passed = {name: os.environ[name] for name in ("PYTHONPATH", "HULEEDU_SPELLING_CACHE")}
    done = subprocess.run(
        [*container["command"], *container["args"]],
        env={"PATH": path, **passed, **given, **stated},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_job_that_the_launcher_asks_for_processes_a_batch_without_a_cluster(
    world: World, dagsters_database: str, tmp_path: Path
) -> None:
    slots = ["e001", "e002"]
    world.register("b1", expected=len(slots))
    world.hand_in("b1", {f"{it}.txt": f"{GOOD} {it}".encode() for it in slots})
    with cluster() as (url, asked), daemons_instance(tmp_path, url) as instance:
        run = launched(instance, "b1", slots)
        ((path, job),) = asked

        assert path == "/apis/batch/v1/namespaces/huleedu/jobs"
        assert understood(client.V1Job, job) == job
        pod = job["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert container["image"] == _IMAGE
        assert [it.get("configMapRef", it.get("secretRef")) for it in container["envFrom"]] == [
            {"name": "huleedu-settings"},
            {"name": "huleedu-s3"},
            {"name": "huleedu-databases"},
            {"name": "huleedu-blobs"},
        ]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"]
        labels = job["spec"]["template"]["metadata"]["labels"]
        # The rule about the way out is for pods of this label.
        assert labels["app.kubernetes.io/part-of"] == "huleedu"
        assert dagsters_database not in json.dumps(job)

        given = ("HULEEDU_HOME", "HULEEDU_DAGSTER_DATABASE_URL", "HULEEDU_DAGSTER_CONNECTIONS")
        executed(job, {it: os.environ[it] for it in (*given, "HULEEDU_MAX_RUNS")})

        after = instance.get_run_by_id(run.run_id)
        assert after is not None
        assert after.status is DagsterRunStatus.SUCCESS
    assert world.view("b1").ready == len(slots)
