"""The schema: the newest is that of the tables, and what older ones held is there unchanged."""

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from huleedu_dagster.domain.access import Scope, hash_token, new_token
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.ledger.migrations import runner
from huleedu_dagster.ledger.tables import metadata
from tests.contract.test_ledger import registration
from tests.support.fakes import START
from tests.support.ledger import all_rows, row_counts
from tests.support.postgres import postgres_database
from tests.support.waiting import wait_for

BATCH = {
    "batch_id": "a",
    "registered_at": START,
    "correlation_id": "0" * 36,
    "expected_essay_count": 2,
    "source": "cli",
    "course": "English 6",
    "class_name": "7b",
    "instructions": "Skriv på svenska.",
    "settings": {"language": "en", "word_list": ["räksmörgås"]},
    "settings_version": "v",
}
UPLOAD = {
    "upload_id": "0" * 32,
    "batch_id": "a",
    "path": "åsa.txt",
    "version": 1,
    "slot": "e001",
    "status": "assigned",
    "sha256": "ab",
    "size": 5_000_000_000,
    "blob_key": "raw_upload_blob/a/x",
    "received_at": START,
    "correlation_id": "0" * 36,
}
ESSAY = {
    "batch_id": "a",
    "slot": "e001",
    "path": "åsa.txt",
    "upload_id": "0" * 32,
    "pending": True,
    "due": True,
}
WAIVER = {"batch_id": "a", "slot": "e002", "reason": "ill", "waived_at": START}


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(runner.__file__).parent))
    return ScriptDirectory.from_config(config)


REVISIONS = sorted(it.revision for it in scripts().walk_revisions())


def differences(ledger: Ledger) -> list[Any]:
    """Where the schema differs from the tables that the ledger works with."""
    with ledger.read() as tx:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(tx.connection, opts=options)
        return list(compare_metadata(context, metadata))


def test_the_newest_revision_is_the_one_that_alembic_finds() -> None:
    assert scripts().get_heads() == [runner.HEAD]


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_schema_there_was_becomes_that_of_the_tables(empty_url: str, revision: str) -> None:
    found = Ledger(empty_url)
    try:
        runner.upgrade(found._engine, revision)
        assert found.schema_revision() == revision
        assert (differences(found) == []) == (revision == runner.HEAD)
        found.migrate()
        assert found.schema_revision() == runner.HEAD
        assert differences(found) == []
    finally:
        found.close()


def test_an_empty_database_is_migrated_to_the_newest_revision(empty_url: str) -> None:
    found = Ledger(empty_url)
    try:
        found.migrate()
        assert found.schema_revision() == runner.HEAD
        assert set(row_counts(found)) == set(metadata.tables)
    finally:
        found.close()


def test_migrating_again_is_harmless(ledger: Ledger) -> None:
    with ledger.write() as tx:
        tx.batches.register(registration())
    before = all_rows(ledger)
    ledger.migrate()
    runner.upgrade(ledger._engine, REVISIONS[0])
    assert all_rows(ledger) == before


def migrate_at(url: str, start: float) -> None:
    found = Ledger(url)
    time.sleep(max(0.0, start - time.time()))
    found.migrate()
    found.close()


def test_processes_that_migrate_at_once_wait_for_each_other(empty_url: str) -> None:
    start = datetime.now(UTC).timestamp() + 1.5
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=migrate_at, args=(empty_url, start)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    found = Ledger(empty_url)
    assert found.schema_revision() == runner.HEAD
    found.close()


@pytest.fixture
def first_schema(empty_url: str) -> Iterator[Ledger]:
    """A ledger at revision 0001 with a batch, an upload, an essay and a waiver."""
    found = Ledger(empty_url)
    runner.upgrade(found._engine, "0001")
    old = sa.MetaData()
    old.reflect(found._engine)
    rows = {"batches": BATCH, "uploads": UPLOAD, "essays": ESSAY, "waivers": WAIVER}
    with found.write() as tx:
        for name, row in rows.items():
            plain = {
                key: value.replace(tzinfo=None) if value is START else value
                for key, value in row.items()
            }
            tx.connection.execute(sa.insert(old.tables[name]).values(**plain))
    yield found
    found.close()


def test_a_ledger_of_the_first_schema_keeps_its_rows(first_schema: Ledger) -> None:
    assert first_schema.schema_revision() == "0001"

    first_schema.migrate()

    assert first_schema.schema_revision() == runner.HEAD
    rows = all_rows(first_schema)
    assert [(it["metric"], it["total"]) for it in rows.pop("metric_sums")] == [
        ("received", 1),
        ("stored_bytes", 5_000_000_000),
    ]
    expected = {"batches": BATCH, "uploads": UPLOAD, "essays": ESSAY, "waivers": WAIVER}
    for name, row in expected.items():
        (kept,) = rows.pop(name)
        assert kept.items() >= row.items()
    assert all(found == [] for found in rows.values())


def test_a_batch_of_the_first_schema_has_no_owner_and_new_ones_may(first_schema: Ledger) -> None:
    first_schema.migrate()
    with first_schema.write() as tx:
        token = tx.tokens.create("school", [Scope.REGISTER], hash_token(new_token()))
        tx.batches.register(registration("b"), token.token_id)
    with first_schema.read() as tx:
        assert {it.batch_id: it.owner for it in tx.batches.all()} == {
            "a": None,
            "b": token.token_id,
        }


def test_the_rows_of_the_first_schema_still_hold_on_to_each_other(first_schema: Ledger) -> None:
    first_schema.migrate()
    with pytest.raises(sa.exc.IntegrityError), first_schema.write() as tx:
        tx.connection.exec_driver_sql("DELETE FROM batches")


def test_a_migration_that_never_gets_its_turn_says_what_to_do_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "_LOCK_SECONDS", 0.5)
    with postgres_database(migrated=False) as url:
        ledger = Ledger(url)
        runner.upgrade(ledger._engine, "0003")
        with ledger._engine.connect() as reader, reader.begin():
            reader.exec_driver_sql("SELECT 1 FROM essays").all()
            with pytest.raises(runner.TablesInUseError, match="end what works on it"):
                ledger.migrate()
            assert ledger.schema_revision() == "0003"
        ledger.migrate()
        assert ledger.schema_revision() == runner.HEAD
        ledger.close()


def test_those_who_work_on_postgres_meanwhile_and_the_migration_are_no_deadlock() -> None:
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation IS NOT NULL"
    with postgres_database(migrated=False) as url:
        ledger = Ledger(url)
        runner.upgrade(ledger._engine, "0003")
        with ThreadPoolExecutor(1) as pool, ledger._engine.connect() as reader:
            with reader.begin():
                reader.exec_driver_sql("SELECT 1 FROM essays").all()
                migrated = pool.submit(ledger.migrate)
                wait_for(lambda: bool(reader.exec_driver_sql(waiting).all()), 60)
                # The other way round than the migration, which has these by now.
                reader.exec_driver_sql("SELECT 1 FROM batches").all()
            migrated.result(60)
        assert ledger.schema_revision() == runner.HEAD
        ledger.close()
