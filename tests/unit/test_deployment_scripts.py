"""The scripts that containers begin with: what they write, and what they refuse."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.compose_files import ROOT, SECRETS

SCRIPTS = ROOT / "deploy" / "compose"
_POLICY = re.compile(r"```json\n(.*?)```", re.DOTALL)


def run(script: Path, *arguments: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [script, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False
    )


def s3_configuration(folder: Path, **told: str) -> Any:
    """What the script of the S3 server writes for it."""
    weed = folder / "weed"
    weed.write_text('#!/bin/sh\ncat "${3#-s3.config=}"\n')
    weed.chmod(0o755)
    environment = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "HULEEDU_S3_BUCKET": "huleedu-blobs",
        "HULEEDU_S3_CONFIG": str(folder / "s3.json"),
        **SECRETS,
        **told,
    }
    done = run(SCRIPTS / "seaweedfs.sh", "server", env=environment)
    assert done.returncode == 0, done.stderr
    assert (folder / "s3.json").stat().st_mode & 0o777 == 0o600
    return json.loads(done.stdout)


def test_the_s3_server_gives_the_key_the_policy_that_is_documented(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "storage.md").read_text(encoding="utf-8")
    documented, of_the_inbox = _POLICY.findall(text)
    found = s3_configuration(tmp_path)
    set_up, parts = found["identities"]
    assert set_up["actions"] == ["Admin"]
    assert "actions" not in parts
    (policy,) = found["policies"]
    assert parts["policyNames"] == [policy["name"]]

    def statements(text: str) -> list[Any]:
        each = json.loads(text)["Statement"]
        actions = [it["Action"] for it in each]
        return [
            {**it, "Action": [action] if isinstance(action, str) else action}
            for it, action in zip(each, actions, strict=True)
        ]

    assert statements(policy["content"]) == statements(documented)
    told = {"HULEEDU_INBOX_BUCKET": "huleedu-inbox"}
    (with_inbox,) = s3_configuration(tmp_path, **told)["policies"]
    assert statements(with_inbox["content"]) == [
        *statements(documented),
        *statements(of_the_inbox),
    ]

    for_droppers = s3_configuration(tmp_path, **told, HULEEDU_INBOX_SECRET_KEY="drop-secret")
    *_, dropper = for_droppers["identities"]
    *_, policy = for_droppers["policies"]
    assert dropper["credentials"] == [{"accessKey": "huleedu-inbox", "secretKey": "drop-secret"}]
    assert dropper["policyNames"] == [policy["name"]]
    assert statements(policy["content"]) == [
        {
            "Effect": "Allow",
            "Action": ["s3:PutObject"],
            "Resource": "arn:aws:s3:::huleedu-inbox/*",
        }
    ]


@pytest.mark.parametrize(
    ("script", "variable"),
    [
        ("postgres-init.sh", "HULEEDU_DATABASE_PASSWORD"),
        ("seaweedfs.sh", "HULEEDU_S3_SECRET_KEY"),
        ("seaweedfs.sh", "HULEEDU_S3_SETUP_SECRET_KEY"),
        ("valkey.sh", "HULEEDU_BROKER_PASSWORD"),
    ],
)
@pytest.mark.parametrize("value", ["", "it's", 'a"b', "a b", "a\nb", "a@b/c"])
def test_the_scripts_refuse_a_secret_that_would_break_what_they_write(
    script: str, variable: str, value: str, tmp_path: Path
) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HULEEDU_S3_BUCKET": "huleedu-blobs",
        "HULEEDU_S3_CONFIG": str(tmp_path / "s3.json"),
        **SECRETS,
        variable: value,
    }
    refused = run(SCRIPTS / script, env=environment)
    assert refused.returncode != 0
    assert variable in refused.stderr or "may hold letters" in refused.stderr
    assert not value or value not in refused.stderr
