"""A process that dies leaves whole transactions and keeps nobody waiting, on every database."""

import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from huleedu_dagster.domain.access import Scope, hash_token, new_token
from huleedu_dagster.ledger.idempotency import Begun, InFlight, New
from huleedu_dagster.ledger.ledger import Ledger
from tests.support.fakes import START, ManualClock
from tests.support.ledger import row_counts

LIMIT = 60.0
REGISTER = """
    tx.batches.register(Registration(batch_id="a", registered_at=tx.now, correlation_id="0"))
"""
BEGIN = """
    tx.idempotency.begin("{owner}", "k", route="r", request_hash="h", abandoned_after=60)
"""
# Dies inside the transaction once something is written to it, or after it.
PROGRAM = """
import os, sys
from huleedu_dagster.domain.registration import Registration
from huleedu_dagster.ledger.ledger import Ledger
from tests.support.fakes import ManualClock

with Ledger({url!r}, clock=ManualClock()).write() as tx:
    {act}
    if {where!r} == "inside":
        print("written", flush=True)
        sys.stdin.read()
        os._exit(9)
os._exit(9)
"""


def program(ledger: Ledger, where: str, act: str) -> subprocess.Popen[str]:
    text = PROGRAM.format(url=ledger.url, where=where, act=textwrap.dedent(act).strip())
    return subprocess.Popen(
        [sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def run(ledger: Ledger, where: str, act: str) -> None:
    process = program(ledger, where, act)
    process.communicate("", timeout=60)
    assert process.returncode == 9


@pytest.fixture
def owner(ledger: Ledger) -> str:
    with ledger.write() as tx:
        return tx.tokens.create("school", [Scope.UPLOAD], hash_token(new_token())).token_id


def begin(ledger: Ledger, owner: str) -> Begun:
    with ledger.write() as tx:
        return tx.idempotency.begin(owner, "k", route="r", request_hash="h", abandoned_after=LIMIT)


@pytest.mark.parametrize(("where", "rows"), [("inside", 0), ("after", 1)])
def test_a_process_that_dies_leaves_a_whole_transaction_or_none(
    ledger: Ledger, where: str, rows: int
) -> None:
    run(ledger, where, REGISTER)
    assert row_counts(ledger)["batches"] == rows


def test_a_key_that_a_process_took_before_it_died_is_free_after_the_limit(
    ledger: Ledger, owner: str, clock: ManualClock
) -> None:
    run(ledger, "after", BEGIN.format(owner=owner))
    assert begin(ledger, owner) == InFlight(START)
    clock.advance(LIMIT + 1)
    assert isinstance(begin(ledger, owner), New)


def test_a_key_that_a_process_was_taking_when_it_died_goes_to_who_waits_for_it(
    ledger: Ledger, owner: str
) -> None:
    process = program(ledger, "inside", BEGIN.format(owner=owner))
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    asked = threading.Event()

    def wait() -> Begun:
        asked.set()
        return begin(ledger, owner)

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(wait)
        assert asked.wait(60)
        process.communicate("", timeout=60)
        assert isinstance(waiting.result(60), New)
