"""The commands with an S3 server: all blobs are in the bucket, none in the home folder."""

from dataclasses import replace
from pathlib import Path

import pytest

from huleedu_dagster.storage.s3 import S3BlobStore, S3Options
from tests.cli.test_commands import Shell, folder_of
from tests.support.seaweed import s3_options

pytestmark = pytest.mark.slow


def use(monkeypatch: pytest.MonkeyPatch, options: S3Options) -> None:
    """Let every process that the test starts keep its blobs there."""
    settings = {
        "ENDPOINT": options.endpoint,
        "BUCKET": options.bucket,
        "ACCESS_KEY": options.access_key,
        "SECRET_KEY": options.secret_key,
        "SECURE": "false",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"HULEEDU_S3_{name}", value)


def test_a_class_goes_through_with_its_blobs_in_a_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = s3_options(tmp_path)
    use(monkeypatch, options)
    shell = Shell(tmp_path / "home")
    given = folder_of(tmp_path / "class-9d", 2)
    shell("run", "--batch", "class-9d", "--expected", "2", given)
    store = S3BlobStore(options)
    assert len(list(store.keys("raw_upload_blob/class-9d"))) == 2
    assert list(store.keys("spellcheck_result/class-9d")) != []
    assert not (tmp_path / "home" / "blobs").exists()

    use(monkeypatch, replace(options, secret_key="another"))
    checks = shell.json("doctor", code=1)["checks"]
    (told,) = [it["found"] for it in checks if it["name"] == "blob store"]
    assert "HULEEDU_S3_SECRET_KEY" in told
    assert "another" not in told
