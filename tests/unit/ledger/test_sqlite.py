"""What the embedded ledger owes to SQLite: durability, waiting, one writer at a time."""

import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from huleedu_dagster.ledger.ledger import Ledger
from tests.support.ledger import new_ledger, row_counts


def connect_at_once(url: str, connections: int) -> list[Exception]:
    failed: list[Exception] = []
    gate = threading.Barrier(connections)

    def connect() -> None:
        ledger = Ledger(url)
        gate.wait()
        try:
            ledger.schema_revision()
        except Exception as error:
            failed.append(error)
        finally:
            ledger.close()

    threads = [threading.Thread(target=connect) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return failed


def test_connections_that_open_a_new_ledger_at_once_wait_for_each_other(tmp_path: Path) -> None:
    """The daemon, the web server and the intake start together on an empty home."""
    failed = [
        error
        for turn in range(60)
        for error in connect_at_once(f"sqlite:///{tmp_path / f'{turn}.db'}", 3)
    ]
    assert failed == []


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 30_000)],
)
def test_every_connection_is_durable_strict_and_patient(
    tmp_path: Path, pragma: str, value: object
) -> None:
    ledger = new_ledger(tmp_path / "ledger.db")
    with ledger.read() as tx:
        assert tx.connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value
    ledger.close()


@pytest.mark.parametrize(("where", "rows"), [("inside", 0), ("after", 1)])
def test_a_process_that_dies_leaves_a_whole_transaction_or_none(
    tmp_path: Path, where: str, rows: int
) -> None:
    ledger = new_ledger(tmp_path / "ledger.db")
    script = f"""
        import os
        from huleedu_dagster.domain.registration import Registration
        from huleedu_dagster.ledger.ledger import Ledger
        ledger = Ledger({ledger.url!r})
        with ledger.write() as tx:
            tx.batches.register(
                Registration(batch_id="a", registered_at=tx.now, correlation_id="0")
            )
            if {where!r} == "inside":
                os._exit(9)
        os._exit(9)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, timeout=60)
    assert ended.returncode == 9
    assert row_counts(ledger)["batches"] == rows
    ledger.close()


def test_a_ledger_makes_its_folder(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'new' / 'home' / 'ledger.db'}")
    ledger.migrate()
    assert set(row_counts(ledger).values()) == {0}
    ledger.close()
