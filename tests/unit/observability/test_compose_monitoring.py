"""Prometheus and Grafana beside the other containers, as compose understands the files."""

import subprocess
import sys
from typing import Any

import pytest
import yaml

from huleedu_dagster.intake.limits import IntakeLimits
from huleedu_dagster.settings import Settings
from tests.e2e.compose_files import MAIN, ROOT, SECRETS, compose, configuration

MONITORING = "compose.monitoring.yml"
GIVEN = {
    **{key: value for key, value in SECRETS.items() if key != "HULEEDU_BROKER_PASSWORD"},
    "HULEEDU_METRICS_TOKEN_FILE": "./metrics-token",
    "HULEEDU_GRAFANA_PASSWORD": "grafana-secret",
}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """All containers with those for monitoring."""
    found: dict[str, Any] = configuration((MAIN, MONITORING), GIVEN)["services"]
    return found


@pytest.mark.parametrize("missing", ["HULEEDU_METRICS_TOKEN_FILE", "HULEEDU_GRAFANA_PASSWORD"])
def test_a_secret_has_no_default(missing: str) -> None:
    given = {key: value for key, value in GIVEN.items() if key != missing}
    refused = compose("config", "--quiet", files=(MAIN, MONITORING), variables=given)
    assert refused.returncode != 0
    assert f"required variable {missing} is missing a value" in refused.stderr


def test_prometheus_can_ask_the_intake_and_nothing_else(services: dict[str, Any]) -> None:
    (scraped,) = yaml.safe_load((ROOT / "deploy/monitoring/prometheus.yml").read_text())[
        "scrape_configs"
    ]
    (target,) = scraped["static_configs"][0]["targets"]
    name, port = target.split(":")
    assert set(services["prometheus"]["networks"]) == {"monitoring"}
    near = {it for it, service in services.items() if "monitoring" in service["networks"]}
    assert near == {"intake", "prometheus", "grafana"}
    intake = services[name]
    assert {"stores", "edge", "monitoring"} == set(intake["networks"])
    assert port in intake["command"]
    hosts = intake["environment"]["HULEEDU_INTAKE_HOSTS"]
    assert name in IntakeLimits.of(Settings(intake_hosts=hosts)).hosts


def test_the_token_is_a_secret_and_in_no_environment(services: dict[str, Any]) -> None:
    prometheus = services["prometheus"]
    (secret,) = prometheus["secrets"]
    (scraped,) = yaml.safe_load((ROOT / "deploy/monitoring/prometheus.yml").read_text())[
        "scrape_configs"
    ]
    wanted = scraped["authorization"]["credentials_file"]
    assert wanted == f"/run/secrets/{secret['source']}"
    assert "environment" not in prometheus


def test_no_container_for_monitoring_has_more_rights_than_it_needs(
    services: dict[str, Any],
) -> None:
    for name in ("prometheus", "grafana"):
        it = services[name]
        assert it["cap_drop"] == ["ALL"]
        assert it["read_only"]
        assert it["mem_limit"]
        assert not it["user"].startswith("0")
        assert {port["host_ip"] for port in it.get("ports", [])} <= {"127.0.0.1"}
        for mount in it["volumes"]:
            if mount["type"] == "bind":
                assert (ROOT / mount["source"]).is_file()
                assert mount["read_only"]


def test_the_file_follows_its_schema() -> None:
    program = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec")
    checked = subprocess.run(
        [*program, ROOT / MONITORING], capture_output=True, text=True, timeout=60, check=False
    )
    assert checked.returncode == 0, checked.stdout
