"""The compose files as `docker compose config` understands them; it needs no engine for that."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
MAIN, SCALE, MINIO = "docker-compose.yml", "compose.scale.yml", "compose.minio.yml"
MONITORING = "compose.monitoring.yml"
STORES, WORKER = "compose.stores.yml", "compose.worker.yml"
SECRETS = {
    "POSTGRES_PASSWORD": "administrator-secret",
    "HULEEDU_DATABASE_PASSWORD": "database-secret",
    "HULEEDU_S3_SETUP_SECRET_KEY": "set-up-secret",
    "HULEEDU_S3_SECRET_KEY": "blobs-secret",
    "HULEEDU_INTAKE_SESSION_KEY": "a-session-key-of-more-than-32-characters",
    "HULEEDU_BROKER_PASSWORD": "broker-secret",
}
OF_MONITORING = {
    "HULEEDU_METRICS_TOKEN_FILE": "./metrics-token",
    "HULEEDU_GRAFANA_PASSWORD": "grafana-secret",
}
"""What must be given besides, with `MONITORING` alone."""
OF_STORES = {"HULEEDU_STORES_ADDRESS": "10.20.30.40"}
"""The same with `STORES`, and with `WORKER` on another machine."""
_PART = re.compile(r"(\d+)(h|ms|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def compose(
    *arguments: str,
    files: Sequence[str] = (MAIN,),
    variables: Mapping[str, str] = SECRETS,
) -> "subprocess.CompletedProcess[str]":
    """Run `docker compose` on files of the project; needs no engine for `config`."""
    named = [word for name in files for word in ("-f", str(ROOT / name))]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **variables}
    return subprocess.run(
        # Whoever works here may have a `.env` of their own.
        [BIN / "docker-compose", "--env-file", os.devnull, *named, *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def configuration(
    files: Sequence[str] = (MAIN,), variables: Mapping[str, str] = SECRETS
) -> dict[str, Any]:
    """What compose makes of the files; fails the test when it refuses them."""
    done = compose("config", "--format", "json", files=files, variables=variables)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def seconds_of(duration: str) -> float:
    """A duration of a compose file (`1m0s`) in seconds."""
    found = _PART.findall(duration)
    assert "".join(number + unit for number, unit in found) == duration, duration
    return sum(float(number) * _UNITS[unit] for number, unit in found)
