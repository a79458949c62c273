"""Upkeep: what dead requests left goes by its age, what lives stays, and no fault ends it."""

import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from huleedu_dagster.intake.receiving import SpoolTarget, spool_folder
from huleedu_dagster.intake.services import Services
from huleedu_dagster.intake.upkeep import ABANDONED_SECONDS, KEEP_KEYS_SECONDS, Upkeep
from huleedu_dagster.storage.local import LocalBlobStore
from tests.intake.forms import GOOD, hand_in, register, statuses
from tests.intake.process import intake_process
from tests.intake.served import Served
from tests.support.lines import captured
from tests.support.waiting import wait_for

DAY = 24 * 3600.0
KEY = {"Idempotency-Key": "drop-1"}


def services(served: Served, folder: Path) -> Services:
    """Those of the application, with the store as it is when nothing fails on purpose."""
    found: Services = served.app.state.services
    return replace(found, blobs=LocalBlobStore(folder / "blobs"))


def aged(path: Path, seconds: float) -> None:
    """Let a file or folder look as old as this."""
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


def dead_request(home: Path, name: str, *, folder_age: float, file_age: float) -> Path:
    """What a request left in the spool whose process was killed."""
    folder = spool_folder(home) / name
    folder.mkdir(parents=True)
    (folder / "0").write_bytes(GOOD)
    aged(folder / "0", file_age)
    aged(folder, folder_age)
    return folder


def kept_keys(served: Served) -> int:
    """How many idempotency keys the ledger knows."""
    with served.shop.ledger.read() as tx:
        found = tx.connection.exec_driver_sql("SELECT count(*) FROM idempotency_keys")
        return int(found.scalar_one())


def test_a_key_is_forgotten_after_a_week_and_not_before(served: Served, tmp_path: Path) -> None:
    client = served.teacher()
    register(client, expected=2)
    assert statuses(hand_in(client, {"a.txt": GOOD}, KEY)) == ["new_essay"]
    upkeep = Upkeep.of(services(served, tmp_path))
    served.shop.clock.advance(KEEP_KEYS_SECONDS - 1)
    upkeep.run_once()
    assert hand_in(client, {"a.txt": GOOD}, KEY).headers["idempotency-replayed"] == "true"
    served.shop.clock.advance(2)
    upkeep.run_once()
    assert kept_keys(served) == 0
    again = hand_in(client, {"a.txt": GOOD}, KEY)
    assert "idempotency-replayed" not in again.headers
    assert statuses(again) == ["unchanged"]


def test_the_remains_of_dead_requests_go_after_a_day_and_not_before(
    served: Served, tmp_path: Path
) -> None:
    old, young = ABANDONED_SECONDS + 60, ABANDONED_SECONDS - 60
    dead = dead_request(tmp_path, "dead", folder_age=old, file_age=old)
    recent = dead_request(tmp_path, "recent", folder_age=young, file_age=young)
    # A large file that takes its time: its folder is old, its last byte is not.
    slow = dead_request(tmp_path, "slow", folder_age=old, file_age=10)
    no_request = spool_folder(tmp_path) / "note.txt"
    no_request.touch()
    remains = tmp_path / "blobs" / "raw_upload_blob" / "class-a" / ".tmp-1"
    remains.parent.mkdir(parents=True)
    remains.write_bytes(GOOD)
    aged(remains, old)
    Upkeep.of(services(served, tmp_path)).run_once()
    assert not dead.exists()
    assert not remains.exists()
    assert recent.exists()
    assert slow.exists()
    assert no_request.exists()


def test_a_request_that_is_being_set_aside_is_let_be(served: Served, tmp_path: Path) -> None:
    spool = SpoolTarget(spool_folder(tmp_path))
    spool.begin("a.txt")
    spool.write(GOOD)
    Upkeep.of(services(served, tmp_path)).run_once()
    spool.end(too_large=False)
    assert spool.request_hash("class-a")
    (folder,) = spool_folder(tmp_path).iterdir()
    assert (folder / "0").read_bytes() == GOOD
    spool.close()
    assert list(spool_folder(tmp_path).iterdir()) == []


def test_a_request_that_ends_while_it_is_swept_is_no_fault(
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dead = dead_request(tmp_path, "dead", folder_age=2 * DAY, file_age=2 * DAY)
    remove = shutil.rmtree

    def somebody_was_quicker(path: Path) -> None:
        remove(path)
        remove(path)

    monkeypatch.setattr(shutil, "rmtree", somebody_was_quicker)
    with captured() as lines:
        Upkeep.of(services(served, tmp_path)).run_once()
    assert not dead.exists()
    assert lines(status="failed") == []
    assert [it["deleted"] for it in lines(chore="spool", status="done")] == [0]


def test_a_chore_that_fails_holds_up_no_other_and_its_log_names_nobody(
    served: Served, tmp_path: Path
) -> None:
    served.shop.ledger.close()
    (tmp_path / "ledger.db").rename(tmp_path / "away.db")
    (tmp_path / "ledger.db").mkdir()
    dead = dead_request(tmp_path, "ida-lind", folder_age=2 * DAY, file_age=2 * DAY)
    with captured() as lines:
        Upkeep.of(services(served, tmp_path)).run_once()
    assert not dead.exists()
    (line,) = lines(status="failed")
    assert (line["phase"], line["chore"]) == ("upkeep", "idempotency_keys")
    assert line["reason"] == "OperationalError"
    assert str(tmp_path) not in lines.text
    assert "ida-lind" not in lines.text


def test_it_begins_at_once_and_goes_on_after_a_fault_until_its_block_ends() -> None:
    rounds: list[int] = []

    def chore() -> int:
        rounds.append(len(rounds))
        if len(rounds) == 2:
            raise OSError("the disk is away")
        return 0

    with Upkeep({"chore": chore}, interval=0.01).running():
        wait_for(lambda: len(rounds) >= 4, 60)
    assert "upkeep" not in [it.name for it in threading.enumerate()]


def test_between_two_rounds_nothing_is_done_and_the_end_does_not_wait_for_the_next() -> None:
    begun = threading.Event()
    rounds: list[None] = []

    def chore() -> int:
        rounds.append(None)
        begun.set()
        return 0

    def work() -> None:
        with Upkeep({"chore": chore}).running():
            begun.wait(60)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(300)
    assert not worker.is_alive()
    assert begun.is_set()
    assert len(rounds) == 1


def test_a_started_intake_clears_up_and_leaves_what_another_process_is_working_on(
    tmp_path: Path,
) -> None:
    dead = dead_request(tmp_path, "dead", folder_age=2 * DAY, file_age=2 * DAY)
    of_another = dead_request(tmp_path, "of-another", folder_age=60, file_age=1)
    with intake_process(tmp_path) as intake, intake.client() as client:
        wait_for(lambda: not dead.exists(), 60)
        assert client.get("/readyz").status_code == 200
    assert (of_another / "0").read_bytes() == GOOD
