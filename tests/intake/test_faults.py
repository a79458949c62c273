"""Full disks, a store or a ledger that is down, power cuts: nothing is promised that is not kept.

When the fault is over, the same request succeeds and nothing is there twice.
"""

import random
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from huleedu_dagster.ledger import ledger as ledgers
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.storage.local import LocalBlobStore
from tests.intake.forms import GOOD, hand_in, register, statuses
from tests.intake.process import IntakeProcess, intake_process
from tests.intake.served import serving
from tests.support.ledger import events

FILES = {"a.txt": GOOD, "b.txt": GOOD + b" B", "Ida/c.txt": GOOD + b" C"}
LARGE = {"a.txt": GOOD, "large.bin": random.Random(5).randbytes(3_000_000)}
FULL_BYTES = 1_000_000
KEYED: list[dict[str, str]] = [{}, {"Idempotency-Key": "drop-1"}]
CLIENTS = 4
RUSH = 12

Fault = Callable[[IntakeProcess], AbstractContextManager[None]]


def unavailable(answer: httpx.Response) -> None:
    """Check that an answer promises nothing and says when to come again."""
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] == "UNAVAILABLE"
    assert int(answer.headers["retry-after"]) > 0
    assert "upload_id" not in answer.text


def kept(ledger: Ledger, batch: str) -> dict[str, str]:
    """Ids of all uploads of a batch, by path; each path came once."""
    with ledger.read() as tx:
        found = tx.essays.uploads_of(batch)
    assert len({it.path for it in found}) == len(found)
    return {it.path: it.upload_id for it in found}


def check_promises(home: Path, batch: str, receipts: list[dict[str, Any]]) -> None:
    """Check that what was promised is there, seen by somebody who opens the home anew."""
    ledger = Ledger(f"sqlite:///{home / 'ledger.db'}")
    found = kept(ledger, batch)
    ledger.close()
    for receipt in receipts:
        assert found[receipt["file_name"]] == receipt["upload_id"]
        blob = f"raw_upload_blob/{batch}/{receipt['upload_id']}"
        data = LocalBlobStore(home / "blobs").get(blob, receipt["sha256"])
        assert len(data) == receipt["bytes"]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IntakeProcess]:
    """One process for the tests that do not kill it."""
    with intake_process(tmp_path_factory.mktemp("home")) as intake:
        yield intake


@pytest.fixture
def batch(started: IntakeProcess) -> str:
    """A batch of its own."""
    name = f"class-{uuid.uuid4().hex[:8]}"
    with started.client() as client:
        register(client, 5, name)
    return name


@contextmanager
def full_disk(intake: IntakeProcess) -> Iterator[None]:
    """No file grows beyond a megabyte; the ledger is far smaller."""
    intake.limit_files(FULL_BYTES)
    try:
        yield
    finally:
        intake.limit_files(None)


@contextmanager
def full_disk_of_the_ledger(intake: IntakeProcess) -> Iterator[None]:
    """The essays still fit, and the next page of the ledger does not."""
    intake.limit_files(4_096)
    try:
        yield
    finally:
        intake.limit_files(None)


@contextmanager
def store_down(intake: IntakeProcess) -> Iterator[None]:
    """The folder of the store is no folder."""
    root, away = intake.home / "blobs", intake.home / "away"
    root.mkdir(exist_ok=True)
    root.rename(away)
    root.touch()
    try:
        yield
    finally:
        root.unlink()
        away.rename(root)


@pytest.mark.parametrize("headers", KEYED, ids=["plain", "keyed"])
@pytest.mark.parametrize(
    ("fault", "files"),
    [(full_disk, LARGE), (full_disk_of_the_ledger, FILES), (store_down, FILES)],
)
def test_during_a_fault_nothing_is_promised_and_after_it_the_same_request_succeeds_once(
    started: IntakeProcess,
    batch: str,
    fault: Fault,
    files: dict[str, bytes],
    headers: dict[str, str],
) -> None:
    own = {name: f"{value}-{batch}" for name, value in headers.items()}
    with started.client() as client:
        with fault(started):
            for _ in range(2):
                unavailable(hand_in(client, files, own, batch))
            assert started.remains() == []
            assert client.get("/healthz").status_code == 200
        # Of a request that failed halfway, what came whole may stay; it has no receipt.
        before = kept(started.ledger, batch)
        answer = hand_in(client, files, own, batch)
        again = hand_in(client, files, own, batch)
    assert answer.status_code == 201, answer.text
    receipts = answer.json()["files"]
    assert statuses(answer) == ["unchanged" if it in before else "new_essay" for it in files]
    assert [it["upload_id"] for it in again.json()["files"]] == [it["upload_id"] for it in receipts]
    assert sorted(kept(started.ledger, batch)) == sorted(files)
    check_promises(started.home, batch, receipts)
    assert len(events(started.ledger, "upload.finished", batch)) == 1


def test_a_store_that_is_down_is_told_by_readyz(started: IntakeProcess) -> None:
    with started.client() as client:
        with store_down(started):
            unavailable(client.get("/readyz"))
        assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("headers", KEYED, ids=["plain", "keyed"])
def test_while_another_program_holds_the_ledger_nothing_is_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    monkeypatch.setattr(ledgers, "_BUSY_TIMEOUT_MS", 50)
    with serving(tmp_path) as served:
        client = served.teacher()
        register(client, 3)
        with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            unavailable(hand_in(client, FILES, headers))
            other.execute("ROLLBACK")
        assert kept(served.shop.ledger, "class-a") == {}
        answer = hand_in(client, FILES, headers)
        assert statuses(answer) == ["new_essay"] * len(FILES)
        check_promises(tmp_path, "class-a", answer.json()["files"])
        assert len(events(served.shop.ledger, "upload.finished")) == 1


def test_what_was_promised_outlives_a_process_that_is_killed_in_a_rush(tmp_path: Path) -> None:
    receipts: list[dict[str, Any]] = []
    files = {f"{number}.txt": GOOD + str(number).encode() for number in range(CLIENTS * RUSH)}
    enough, killed = threading.Event(), threading.Event()

    def send(intake: IntakeProcess, who: int) -> None:
        mine = list(files)[who::CLIENTS]
        with intake.client() as client:
            for name in mine:
                if name == mine[-1]:
                    assert killed.wait(60)
                try:
                    answer = hand_in(client, {name: files[name]})
                except httpx.TransportError:
                    return
                receipts.extend(answer.json()["files"])
                if len(receipts) > CLIENTS * RUSH / 3:
                    enough.set()

    with intake_process(tmp_path) as intake:
        with intake.client() as client:
            register(client, len(files) + 1)
            (first,) = (keyed := hand_in(client, {"k.txt": GOOD}, KEYED[1])).json()["files"]
        with ThreadPoolExecutor(CLIENTS) as pool:
            sending = [pool.submit(send, intake, who) for who in range(CLIENTS)]
            assert enough.wait(60)
            intake.kill()
            killed.set()
            for it in sending:
                it.result()
    assert len(receipts) < len(files)
    check_promises(tmp_path, "class-a", [first, *receipts])

    with intake_process(tmp_path, token=intake.token) as intake, intake.client() as client:
        assert hand_in(client, {"k.txt": GOOD}, KEYED[1]).content == keyed.content
        answer = hand_in(client, files)
        assert answer.status_code == 201
        promised = {it["file_name"]: it["upload_id"] for it in receipts}
        told = {it["file_name"]: it for it in answer.json()["files"]}
        for name, upload_id in promised.items():
            assert (told[name]["status"], told[name]["upload_id"]) == ("unchanged", upload_id)
        check_promises(tmp_path, "class-a", [first, *told.values()])
        assert sorted(kept(intake.ledger, "class-a")) == sorted([*files, "k.txt"])
        slots = sorted(it["essay_id"] for it in (first, *told.values()))
        assert slots == [f"e{number:03d}" for number in range(1, len(files) + 2)]
