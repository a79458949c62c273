"""The real definitions on the stores of production: Postgres twice, S3, sensors, runs, checks."""

import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dagster import DagsterInstance, DagsterRunStatus

from huleedu_dagster.cli.common import Installation
from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.jobs import CLOSING_JOB, ESSAY_JOB
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.orchestration.in_process import InProcessDaemon
from huleedu_dagster.pipeline.intake import Receipt, ReceiptStatus
from huleedu_dagster.pipeline.lifecycle import register
from huleedu_dagster.settings import Settings
from tests.support.ledger import events, facts
from tests.support.postgres import postgres_database
from tests.support.seaweed import s3_options

BATCH = "class-8c"
NAME, WORD, LISTED = "Papadopoulos", "Quetzalcoatlus", "Xanthippe"
FILES = {
    f"{NAME}-1/essay.txt": f"The {WORD} flew over teh whole town on a Monday morning.".encode(),
    f"{NAME}-2/essay.txt": f"On Tuesday {LISTED} saw how the {WORD} came home again.".encode(),
    f"{NAME}-3/essay.txt": b"",
}
_TICKS = 4


class Production:
    """An installation whose facts, events and blobs are all on servers.

    Args:
        dagster_url: Where Dagster's tables are.
    """

    def __init__(self, dagster_url: str) -> None:
        self.installation = Installation(Settings())
        self.dagster_url = dagster_url

    def hand_in(self) -> list[Receipt]:
        """Hand in the class in one request."""
        with self.installation.intake.submission(BATCH) as submission:
            for path, data in FILES.items():
                submission.receive(path, data)
        return submission.receipts

    def work(self) -> list[tuple[str, DagsterRunStatus]]:
        """Tick all sensors until they have nothing more to ask for; gives all runs there are."""
        with self._instance() as instance:
            with InProcessDaemon(instance, module="benchmarks.definitions") as daemon:
                for _ in range(_TICKS):
                    daemon.tick()
            return [(it.job_name, it.status) for it in instance.get_runs()]

    def kept_keys(self) -> list[str]:
        """Keys of all blobs in the bucket."""
        kinds = ("raw_upload_blob", "extracted_plaintext", "spellcheck_result", "batch_manifest")
        return [key for kind in kinds for key in self.installation.blobs.keys(kind)]

    def _instance(self) -> DagsterInstance:
        return DagsterHome(self.installation.settings).instance()


@pytest.fixture
def production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Production]:
    """An installation on a Postgres for facts, another for Dagster, and a bucket."""
    options = s3_options(tmp_path)
    with postgres_database() as ledger, postgres_database(migrated=False) as dagster:
        settings = {
            "HOME": str(tmp_path / "home"),
            "LEDGER_URL": ledger,
            "DAGSTER_DATABASE_URL": dagster,
            "S3_ENDPOINT": options.endpoint,
            "S3_BUCKET": options.bucket,
            "S3_ACCESS_KEY": options.access_key,
            "S3_SECRET_KEY": options.secret_key,
            "S3_SECURE": "false",
        }
        for name, value in settings.items():
            monkeypatch.setenv(f"HULEEDU_{name}", value)
        found = Production(dagster)
        yield found
        found.installation.ledger.close()


def everything(url: str) -> dict[str, list[str]]:
    """All values of all tables of a database as text, unpacked where they are packed."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        names = sa.inspect(connection).get_table_names()
        found = {
            name: [
                _text(value)
                for row in connection.execute(sa.text(f'SELECT * FROM "{name}"'))
                for value in row
            ]
            for name in names
        }
    engine.dispose()
    return found


def _text(value: Any) -> str:
    if not isinstance(value, (bytes, memoryview)):
        return str(value)
    data = bytes(value)
    with suppress(zlib.error):
        data = zlib.decompress(data)
    return data.decode(errors="replace")


def tables_with(tables: dict[str, list[str]], word: str) -> set[str]:
    """Names of the tables in which a word is, however it is written."""
    return {
        name
        for name, values in tables.items()
        if any(word.casefold() in value.casefold() for value in values)
    }


def test_a_class_goes_through_on_postgres_and_s3_and_dagster_learns_no_name_and_no_text(
    production: Production,
) -> None:
    ledger = production.installation.ledger
    settings = BatchSettings(word_list=(LISTED,))
    register(ledger, BATCH, settings=settings, expected_essay_count=len(FILES))
    production.hand_in()

    runs = production.work()

    view = production.installation.view(BATCH)
    assert (view.status, view.ready, view.rejected) == (BatchStatus.READY, 2, 1)
    assert runs == [(it, DagsterRunStatus.SUCCESS) for it in (CLOSING_JOB, ESSAY_JOB)]
    assert len(events(ledger, "batch.essays.ready")) == 1
    tables = everything(production.dagster_url)
    assert {"event_logs", "asset_keys"} <= tables_with(tables, BATCH), "Dagster was told"
    secret = production.installation.settings.s3_secret_key
    assert secret is not None
    for word in (NAME, WORD, LISTED, secret.get_secret_value()):
        assert tables_with(tables, word) == set(), word
    assert "uploads" in tables_with(everything(ledger.url), NAME), "the ledger has it"

    rows, keys = facts(ledger), production.kept_keys()
    assert [it.status for it in production.hand_in()] == [ReceiptStatus.UNCHANGED] * len(FILES)
    assert production.work() == runs
    assert facts(ledger) == rows
    assert production.kept_keys() == keys
    assert len(keys) == 3 + 2 + 2 + 1
