"""What was stored under an older schema is there, unchanged, under the newest."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from huleedu_dagster.domain.access import Scope, hash_token, new_token
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.ledger.migrations import runner
from tests.contract.test_ledger import URLS, registration
from tests.support.fakes import START
from tests.support.ledger import all_rows

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


@pytest.fixture(params=sorted(URLS))
def first_schema(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """A ledger at revision 0001 with a batch, an upload, an essay and a waiver."""
    (tmp_path / "home").mkdir()
    found = Ledger(URLS[request.param](tmp_path))
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
