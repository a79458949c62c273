"""Prometheus and Grafana beside the other containers, as compose understands the files."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from huleedu_dagster.intake.limits import IntakeLimits
from huleedu_dagster.settings import Settings
from tests.e2e.compose_files import (
    MAIN,
    MONITORING,
    OF_MONITORING,
    ROOT,
    SECRETS,
    configuration,
)

GIVEN = {**SECRETS, **OF_MONITORING, "COMPOSE_PROFILES": "monitoring"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """All containers with those for monitoring."""
    found: dict[str, Any] = configuration((MAIN, MONITORING), GIVEN)["services"]
    return found


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


def test_what_is_delivered_is_where_it_is_looked_for(services: dict[str, Any]) -> None:
    delivered = {it for it in (ROOT / "deploy" / "monitoring").rglob("*") if it.is_file()}
    mounts = [
        mount
        for name in ("prometheus", "grafana")
        for mount in services[name]["volumes"]
        if mount["type"] == "bind"
    ]
    assert {ROOT / it["source"] for it in mounts} == delivered
    assert all(it["read_only"] for it in mounts)
    targets = {Path(it["source"]).name: it["target"] for it in mounts}
    asked = yaml.safe_load((ROOT / "deploy/monitoring/prometheus.yml").read_text())
    assert asked["rule_files"] == [targets["rules.yml"]]
    shown = yaml.safe_load((ROOT / "deploy/monitoring/grafana/dashboards.yml").read_text())
    (provider,) = shown["providers"]
    assert str(Path(targets["huleedu.json"]).parent) == provider["options"]["path"]
