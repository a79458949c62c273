"""The files for Kubernetes: understood by its client, confined, without secrets, and one system."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from click import Command
from dagster import DagsterInstance
from dagster._core.instance.ref import InstanceRef
from kubernetes import client  # type: ignore[import-untyped]

from huleedu_dagster.cli.app import build_app
from huleedu_dagster.dagster_storage.postgres import PooledPostgresStorage
from huleedu_dagster.intake.hosts import without_port
from huleedu_dagster.intake.limits import IntakeLimits
from huleedu_dagster.orchestration.alone import DAEMON
from huleedu_dagster.orchestration.home import SERVER_CONFIG, DagsterHome
from huleedu_dagster.orchestration.locations import LOCATION
from huleedu_dagster.settings import Settings
from scripts.check_chart_values import merged
from tests.support.kubernetes_files import (
    FOLDER,
    MANIFESTS,
    document,
    documents,
    found,
    manifests,
    model_of,
    understood,
)
from tests.support.postgres import postgres_database

_CHARTS_PODS = ("dagsterWebserver", "dagsterDaemon")
_IN_VALUES = {
    "env": client.V1EnvVar,
    "envConfigMaps": client.V1ConfigMapEnvSource,
    "envSecrets": client.V1SecretEnvSource,
    "livenessProbe": client.V1Probe,
    "podSecurityContext": client.V1PodSecurityContext,
    "readinessProbe": client.V1Probe,
    "resources": client.V1ResourceRequirements,
    "securityContext": client.V1SecurityContext,
    "startupProbe": client.V1Probe,
    "volumeMounts": client.V1VolumeMount,
    "volumes": client.V1Volume,
}
_KEY = ("HULEEDU_S3_ACCESS_KEY", "HULEEDU_S3_SECRET_KEY")
_SECRETS = {
    "huleedu-databases": ("HULEEDU_DAGSTER_DATABASE_URL", "HULEEDU_LEDGER_URL"),
    "huleedu-blobs": _KEY,
    "huleedu-intake": ("HULEEDU_INTAKE_SESSION_KEY",),
    "huleedu-set-up": _KEY,
}
_OF_A_POD = {"status.podIP": "10.1.2.3"}


def _pods() -> Iterator[dict[str, Any]]:
    for it in manifests():
        if it["kind"] in ("Deployment", "Job"):
            yield it["spec"]["template"]["spec"]


def _charts_pods() -> Iterator[dict[str, Any]]:
    """The pods of the chart, as far as our values say what they are."""
    values = document("values.yaml")
    for name in _CHARTS_PODS:
        chosen = values[name]
        container = {key: chosen[key] for key in ("resources", "securityContext", "volumeMounts")}
        container["env"] = chosen["env"]
        container["envFrom"] = [
            *({"configMapRef": it} for it in chosen["envConfigMaps"]),
            *({"secretRef": it} for it in chosen["envSecrets"]),
        ]
        security = {"securityContext": chosen["podSecurityContext"]}
        yield {**security, "volumes": chosen["volumes"], "containers": [container]}


@pytest.mark.parametrize("name", MANIFESTS)
def test_kubernetes_understands_every_word(name: str) -> None:
    for it in documents(name):
        assert understood(model_of(it), it) == it


def test_a_misspelled_field_of_a_manifest_is_noticed() -> None:
    written = found("Deployment", "huleedu-intake")
    pod = written["spec"]["template"]["spec"]
    pod["containers"][0]["readynessProbe"] = pod["containers"][0].pop("readinessProbe")
    with pytest.raises(Exception, match="readynessProbe"):
        understood(model_of(written), written)


@pytest.mark.parametrize("part", _CHARTS_PODS)
def test_kubernetes_understands_what_the_values_say_of_its_own_kinds(part: str) -> None:
    chosen = document("values.yaml")[part]
    for name in _IN_VALUES.keys() & chosen.keys():
        listed = chosen[name] if isinstance(chosen[name], list) else [chosen[name]]
        for written in listed:
            # The chart's own word for whether there is one.
            bare = {key: it for key, it in written.items() if key != "enabled"}
            assert understood(_IN_VALUES[name], bare) == bare, name


def test_every_pod_is_confined() -> None:
    for pod in (*_pods(), *_charts_pods()):
        security = pod["securityContext"]
        assert security["runAsNonRoot"]
        assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] == 10001
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]
        kinds = {kind for it in pod["volumes"] for kind in it.keys() - {"name"}}
        assert kinds <= {"emptyDir", "configMap"}
        bounded = [it["emptyDir"] for it in pod["volumes"] if "emptyDir" in it]
        assert all("sizeLimit" in it for it in bounded)


def test_no_pod_of_ours_has_a_token_of_the_cluster() -> None:
    for pod in _pods():
        assert pod["automountServiceAccountToken"] is False
        assert pod["serviceAccountName"] == "huleedu"


def test_no_file_holds_a_secret() -> None:
    assert "Secret" not in {it["kind"] for it in manifests()}
    # Addresses of pages are for everybody; those of databases hold passwords.
    pages = "(?<!^HULEEDU_INTAKE)(?<!^HULEEDU_DAGSTER)_URL"
    secret = re.compile(f"PASSWORD|SECRET|ACCESS_KEY|SESSION_KEY|{pages}")
    for pod in (*_pods(), *_charts_pods()):
        for container in pod["containers"]:
            given = [it["name"] for it in container.get("env", []) if "value" in it]
            assert [it for it in given if secret.search(it)] == []
    maps = [it["data"] for it in manifests() if it["kind"] == "ConfigMap"]
    assert [name for data in maps for name in data if secret.search(name)] == []


def _environment(container: dict[str, Any]) -> dict[str, str]:
    """The settings that a container is given, with some value for what is secret."""
    found_here: dict[str, str] = {}
    for it in container.get("env", []):
        if "value" in it:
            # As the kubelet does it: what is named has to be before it.
            told = re.sub(
                r"\$\((\w+)\)", lambda name: found_here.get(name[1], name[0]), it["value"]
            )
            found_here[it["name"]] = told
        else:
            found_here[it["name"]] = _OF_A_POD[it["valueFrom"]["fieldRef"]["fieldPath"]]
    for source in container["envFrom"]:
        if "configMapRef" in source:
            found_here |= found("ConfigMap", source["configMapRef"]["name"])["data"]
        else:
            secret = _SECRETS[source["secretRef"]["name"]]
            found_here |= {
                it: "postgresql://db.example/x" if it.endswith("_URL") else "x" * 32
                for it in secret
            }
    return {name: it for name, it in found_here.items() if name.startswith("HULEEDU_")}


def test_every_pod_is_given_settings_that_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    pods = [*_pods(), *_charts_pods()]
    for container in (it for pod in pods for it in pod["containers"]):
        with monkeypatch.context() as environment:
            for name, value in _environment(container).items():
                environment.setenv(name, value)
            # Any program of ours reads them first, a health check too.
            assert Settings().max_runs == 8
            assert Settings().dagster_database_url


@pytest.mark.parametrize("address", ["10.1.2.3", "fd00::1"])
def test_each_intake_can_be_scraped_by_the_address_of_its_pod(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_OF_A_POD, "status.podIP", address)
    pod = found("Deployment", "huleedu-intake")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    given = Settings(intake_hosts=_environment(container)["HULEEDU_INTAKE_HOSTS"])
    hosts = IntakeLimits.of(given).hosts
    (port,) = container["ports"]
    # What Prometheus finds of a pod is its address with a port.
    asked = f"[{address}]" if ":" in address else address
    assert without_port(f"{asked}:{port['containerPort']}") in hosts
    (rule,) = found("Ingress", "huleedu-intake")["spec"]["rules"]
    assert rule["host"] in hosts
    # As docs/metrics.md has Prometheus choose it.
    labels = found("Deployment", "huleedu-intake")["spec"]["template"]["metadata"]["labels"]
    chosen = f"regex: {labels['app.kubernetes.io/name']};{port['name']}\n"
    assert chosen in (FOLDER.parents[1] / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_dagsters_pages_link_to_the_address_that_the_ingress_answers_to() -> None:
    (rule,) = found("Ingress", "huleedu-intake")["spec"]["rules"]
    address = f"https://{rule['host']}"
    assert found("ConfigMap", "huleedu-settings")["data"]["HULEEDU_INTAKE_URL"] == address


def test_the_secrets_are_described_with_their_keys() -> None:
    described = (FOLDER.parents[1] / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(huleedu-[a-z-]+)` \| ([^|]+) \|", described, re.MULTILINE))
    assert rows.keys() == _SECRETS.keys() | {"huleedu-chart"}
    for name in _SECRETS.keys() - {"huleedu-set-up"}:
        assert set(re.findall(r"`(HULEEDU_[A-Z0-9_]+)`", rows[name])) == set(_SECRETS[name])


def test_every_setting_that_is_named_exists() -> None:
    known = {f"HULEEDU_{it.upper()}" for it in Settings.model_fields}
    for path in FOLDER.rglob("*.yaml"):
        named = set(re.findall(r"HULEEDU_[A-Z0-9_]+", path.read_text(encoding="utf-8")))
        assert named <= known, path.name


def _commands() -> Iterator[list[str]]:
    for pod in _pods():
        for container in pod["containers"]:
            yield container["args"]
            probes = (
                container.get(f"{it}Probe", {}) for it in ("startup", "readiness", "liveness")
            )
            yield from (it["exec"]["command"][1:] for it in probes if "exec" in it)
    values = document("values.yaml")
    for part in _CHARTS_PODS:
        probes = (values[part].get(f"{it}Probe", {}) for it in ("startup", "readiness", "liveness"))
        for it in probes:
            if "exec" in it:
                program, *rest = it["exec"]["command"]
                assert program == "huleedu"
                yield rest


def test_every_command_of_a_pod_is_one() -> None:
    whole: Any = typer.main.get_command(build_app())
    seen = set()
    for name, *arguments in _commands():
        command: Command = whole.commands[name]
        command.make_context(name, list(arguments))
        seen.add(shlex.join([name, *arguments[:1]]))
    assert seen == {
        "serve code-server",
        "serve intake",
        "set-up --wait",
        "health code-server",
        "health web-server",
        "health daemon",
    }


def test_one_image_runs_everything() -> None:
    (named,) = {container["image"] for pod in _pods() for container in pod["containers"]}
    repository, _, tag = named.rpartition(":")
    assert tag != "latest"
    values = document("values.yaml")
    for part in _CHARTS_PODS:
        image = values[part]["image"]
        assert (image["repository"], image["tag"]) == (repository, tag)
    for name in ("kustomization.yaml", "set-up/kustomization.yaml"):
        assert document(name)["images"] == [{"name": repository, "newTag": tag}]
    environment = found("Deployment", "huleedu-code-server")["spec"]["template"]["spec"][
        "containers"
    ][0]["env"]
    assert {"name": "DAGSTER_CURRENT_IMAGE", "value": named} in environment


def test_all_files_are_applied() -> None:
    here = document("kustomization.yaml")
    applied = set(here["resources"]) | {
        it for one in here["configMapGenerator"] for it in one["files"]
    }
    assert applied == {it.name for it in FOLDER.glob("*.yaml")} - {
        "kustomization.yaml",
        "values.yaml",
    }


def test_dagsters_pods_find_the_code_server_and_our_configuration() -> None:
    values = document("values.yaml")
    (server,) = values["dagsterWebserver"]["workspace"]["servers"]
    service = found("Service", "huleedu-code-server")
    assert server == {
        "host": service["metadata"]["name"],
        "port": service["spec"]["ports"][0]["port"],
        "name": LOCATION,
    }
    (generated,) = document("kustomization.yaml")["configMapGenerator"]
    for pod in _charts_pods():
        (container,) = pod["containers"]
        home = {it["name"]: it.get("value") for it in container["env"]}["DAGSTER_HOME"]
        mounted = {it["mountPath"]: it for it in container["volumeMounts"]}
        volume = mounted[f"{home}/{SERVER_CONFIG}"]
        (source,) = (it["configMap"] for it in pod["volumes"] if it["name"] == volume["name"])
        assert source == {"name": generated["name"]}
        assert volume["subPath"] in generated["files"]


def test_who_runs_sensors_elsewhere_sees_the_charts_daemon() -> None:
    web_server, daemon = (it["containers"][0]["env"] for it in _charts_pods())
    # `up` and `run` look for connections of this name: the chart's own command takes no lock.
    assert {"name": "PGAPPNAME", "value": DAEMON} in daemon
    assert "PGAPPNAME" not in {it["name"] for it in web_server}


def _instance_environment(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("HULEEDU_DAGSTER_DATABASE_URL", url)
    monkeypatch.setenv("HULEEDU_DAGSTER_CONNECTIONS", "5")
    monkeypatch.setenv("HULEEDU_MAX_RUNS", "8")


def test_dagster_loads_the_configuration_and_takes_our_storages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / SERVER_CONFIG).write_bytes((FOLDER / SERVER_CONFIG).read_bytes())
    with postgres_database(migrated=False) as url:
        _instance_environment(monkeypatch, url)
        # As `huleedu set-up` does before the first start.
        monkeypatch.setenv("HULEEDU_HOME", str(tmp_path / "home"))
        DagsterHome(Settings()).prepare()
        DagsterHome(Settings()).make_tables()
        with DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as instance:
            assert isinstance(instance.get_ref().storage, PooledPostgresStorage)
            assert instance.get_runs_count() == 0
            queue = instance.get_concurrency_config().run_queue_config
            assert queue is not None
            assert queue.max_concurrent_runs == 8
            assert not instance.run_monitoring_max_resume_run_attempts
            assert url not in str(instance.get_ref().to_dict())


def test_what_is_not_about_kubernetes_is_what_an_installation_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HULEEDU_HOME", str(tmp_path))
    _instance_environment(monkeypatch, "postgresql://db.example/dagster")
    DagsterHome(Settings()).prepare()
    written = yaml.safe_load((tmp_path / "dagster" / SERVER_CONFIG).read_text())
    here = document(SERVER_CONFIG)
    del here["run_launcher"]
    own = {
        "run_coordinator": {"config": {"max_concurrent_runs": {"env": "HULEEDU_MAX_RUNS"}}},
        "run_monitoring": {"start_timeout_seconds": 600, "max_resume_run_attempts": 0},
        "storage": {"custom": {"config": {"connections": {"env": "HULEEDU_DAGSTER_CONNECTIONS"}}}},
    }
    assert here == merged(written, own)
