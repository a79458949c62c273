"""Passwords of Postgres and S3, and what the stores hold, in no log and nowhere in Dagster."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from huleedu_dagster.storage.s3 import S3Options
from tests.e2e.site import Site, wait_for
from tests.support.canaries import canary, in_database, in_files, in_processes, seen_in
from tests.support.postgres import postgres_database
from tests.support.seaweed import client_of, new_bucket

pytestmark = pytest.mark.slow

BATCH = "class-9e"
KINDS = ("text", "file", "word", "stored", "ledgerpassword", "dagsterpassword")
SECRETS = {it: canary(it) for it in KINDS}


class Stores:
    """An installation whose ledger and Dagster are on Postgres and whose blobs are on S3."""

    def __init__(self, folder: Path, ledger: str, dagster: str, options: S3Options) -> None:
        self.ledger, self.dagster, self.options = ledger, dagster, options
        self.secrets = {**SECRETS, "s3 key": options.secret_key}
        settings = {
            "HULEEDU_LEDGER_URL": with_password(ledger, SECRETS["ledgerpassword"]),
            "HULEEDU_DAGSTER_DATABASE_URL": with_password(dagster, SECRETS["dagsterpassword"]),
            "HULEEDU_S3_ENDPOINT": options.endpoint,
            "HULEEDU_S3_BUCKET": options.bucket,
            "HULEEDU_S3_ACCESS_KEY": options.access_key,
            "HULEEDU_S3_SECRET_KEY": options.secret_key,
            "HULEEDU_S3_SECURE": "false",
            "HULEEDU_LOG_LEVEL": "debug",
            "HULEEDU_MAX_ATTEMPTS": "1",
        }
        self.site = Site(folder / "home", folder, settings)

    def register(self) -> None:
        """Register a class with a list of words that are right."""
        words = self.site.home.parent / "words.txt"
        words.write_text(canary("word"))
        command = [sys.executable, "-m", "huleedu_dagster.cli.app", "register", BATCH]
        asked = ["--expected", "1", "--word-list", str(words), "--home", str(self.site.home)]
        subprocess.run(
            [*command, *asked],
            env={**os.environ, **self.site.settings},
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=60,
        )

    def hand_in(self) -> None:
        """Put its essay into the inbox."""
        inbox = self.site.home / "inbox" / BATCH
        inbox.mkdir(parents=True)
        text = f"This essay is about {canary('text')} and the ships that sail on the sea."
        (inbox / f"{canary('file')}.txt").write_text(text)
        (inbox / ".complete").touch()

    def damage(self) -> None:
        """Let settings be unreadable until a tick has failed."""
        engine = sa.create_engine(self.ledger, poolclass=sa.pool.NullPool)
        broken = f'{{"word_list": "{canary("stored")}"}}'
        with engine.begin() as connection:
            stored = connection.scalar(sa.text("SELECT settings::text FROM batches"))
            connection.execute(
                sa.text("UPDATE batches SET settings = CAST(:it AS json), reported_at = NULL"),
                {"it": broken},
            )
            connection.execute(sa.text("UPDATE essays SET due = true"))
        wait_for(self.has_failed, seconds=60, what="a tick that fails")
        with engine.begin() as connection:
            connection.execute(
                sa.text("UPDATE batches SET settings = CAST(:it AS json)"), {"it": stored}
            )

    def raw_bytes(self) -> bytes:
        """All uploads, as the server of the blobs has them."""
        client, bucket = client_of(self.options), self.options.bucket
        found = client.list_objects(bucket, prefix="raw_upload_blob/", recursive=True)
        return b"\n".join(client.get_object(bucket, str(it.object_name)).data for it in found)

    def has_failed(self) -> bool:
        """Whether the daemon says that a tick failed."""
        log = self.site.home / "logs" / "daemon.log"
        return "Sensor tick caught an error" in log.read_text()


def with_password(url: str, password: str) -> str:
    """A URL with a password, which the server of the tests does not ask for."""
    return url.replace("postgres@", f"postgres:{password}@")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    folder = tmp_path_factory.mktemp("canary")
    with ExitStack() as stack:
        ledger, dagster = (stack.enter_context(postgres_database(migrated=False)) for _ in range(2))
        found = Stores(folder, ledger, dagster, new_bucket(folder))
        stack.callback(found.site.close)
        found.site.serve()
        found.register()
        found.hand_in()
        found.site.wait_until_ready(BATCH)
        found.damage()
        yield found


def test_secrets_are_in_the_stores_and_not_in_dagsters_database(stores: Stores) -> None:
    kept = {it for _, it in in_database(stores.ledger, stores.secrets)}
    assert {"file", "word"} <= kept
    assert seen_in(stores.raw_bytes(), stores.secrets) == {"text"}
    assert in_database(stores.dagster, stores.secrets) == set()


def test_no_secret_is_in_files_logs_or_command_lines(stores: Stores) -> None:
    home = stores.site.home
    assert {it for _, it in in_files(home / "inbox", stores.secrets)} == {"file", "text"}
    for folder in ("dagster", "logs"):
        assert in_files(home / folder, stores.secrets) == set(), folder
    said = "".join(stores.site.serve().lines)
    assert seen_in(said.encode(), stores.secrets) == set()
    assert in_processes(stores.site.processes(), stores.secrets) == set()
    config = stores.site.pages.ask("{ instance { info } }")["instance"]["info"]
    assert seen_in(str(config).encode(), stores.secrets) == set()
