"""Which store an installation has is a matter of settings, and no secret leaves them."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from huleedu_dagster.definitions import build_resources
from huleedu_dagster.settings import Settings
from huleedu_dagster.storage.choose import open_store
from huleedu_dagster.storage.local import LocalBlobStore
from huleedu_dagster.storage.s3 import S3BlobStore

SERVER = {
    "HULEEDU_S3_ENDPOINT": "s3.school.example:9000",
    "HULEEDU_S3_BUCKET": "essays",
    "HULEEDU_S3_ACCESS_KEY": "name-of-the-key",
    "HULEEDU_S3_SECRET_KEY": "the-key-itself",
}
SECRETS = ("name-of-the-key", "the-key-itself")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HULEEDU_HOME", str(tmp_path))
    for name, value in SERVER.items():
        monkeypatch.setenv(name, value)


def test_the_home_keeps_the_blobs_where_no_server_is_named(tmp_path: Path) -> None:
    store = open_store(Settings(home=tmp_path))
    assert isinstance(store, LocalBlobStore)
    store.put("raw/a", b"text")
    assert (tmp_path / "blobs" / "raw" / "a").read_bytes() == b"text"


@pytest.mark.usefixtures("server")
def test_the_server_that_is_named_keeps_the_blobs_for_all_who_ask() -> None:
    settings = Settings()
    assert isinstance(open_store(settings), S3BlobStore)
    assert isinstance(build_resources(settings)["blobs"].open(), S3BlobStore)


@pytest.mark.usefixtures("server")
def test_keys_are_shown_nowhere() -> None:
    settings = Settings()
    shown = repr(settings) + str(build_resources(settings)["blobs"]) + repr(open_store(settings))
    assert [it for it in SECRETS if it in shown] == []


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("name", sorted(set(SERVER) - {"HULEEDU_S3_ENDPOINT"}))
def test_what_is_missing_of_a_server_is_told_and_nothing_of_the_rest(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "")
    with pytest.raises(ValidationError, match=f"HULEEDU_S3_ENDPOINT is set, and not {name}") as it:
        Settings()
    assert [secret for secret in SECRETS if secret in str(it.value)] == []


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    "endpoint", ["https://s3.school.example", "s3.school.example/essays", "a b"]
)
def test_an_endpoint_is_a_host_and_a_port(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("HULEEDU_S3_ENDPOINT", endpoint)
    with pytest.raises(ValidationError, match="s3_endpoint"):
        Settings()


def test_the_sdk_is_not_imported_where_no_server_is_named(tmp_path: Path) -> None:
    program = (
        "import sys; from huleedu_dagster.cli.common import Installation; "
        "from pathlib import Path; Installation.at(Path(sys.argv[1])).blobs; "
        "assert 'minio' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
