"""A store that is up, but slow: who waits for it keeps nobody else waiting."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from huleedu_dagster.storage.port import BlobStore
from tests.intake.forms import GOOD, hand_in, register
from tests.intake.served import LIMITS, serving

PLACES = 48
"""For files, and as many for others; more than the threads that a server has by itself."""
SHARE = PLACES // 2
PATIENCE = 60


@contextmanager
def waiting(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[threading.Semaphore, threading.Event]]:
    """Let who writes or reads files wait; gives who waits, and what ends the wait."""
    held, done = threading.Semaphore(0), threading.Event()

    def slow(method: Callable[..., Any]) -> Callable[..., Any]:
        def wait(*args: Any) -> Any:
            held.release()
            done.wait(PATIENCE)
            return method(*args)

        return wait

    monkeypatch.setattr(blobs, "writer", slow(blobs.writer))
    monkeypatch.setattr(blobs, "pieces", slow(blobs.pieces))
    try:
        yield held, done
    finally:
        done.set()


def test_uploads_and_downloads_that_wait_for_the_store_keep_nobody_from_looking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = replace(LIMITS, max_concurrent=PLACES, max_pending=1_000)
    with serving(tmp_path, limits) as served:
        teachers = {name: served.teacher(name) for name in ("class-a", "class-b")}
        for name, teacher in teachers.items():
            register(teacher, name=name)
        assert hand_in(teachers["class-a"], {"a.txt": GOOD}).status_code == 201
        other = served.teacher("other")
        with (
            ThreadPoolExecutor(PLACES + SHARE) as pool,
            waiting(served.shop.blobs, monkeypatch) as (held, done),
        ):
            uploads = [
                pool.submit(hand_in, teacher, {f"{number}.txt": GOOD}, batch=name)
                for name, teacher in teachers.items()
                for number in range(SHARE)
            ]
            raw = "/v1/batches/class-a/essays/e001/raw"
            downloads = [pool.submit(teachers["class-a"].get, raw) for _ in range(SHARE)]
            for _ in range(PLACES + SHARE):
                assert held.acquire(timeout=PATIENCE)
            assert hand_in(other, {"a.txt": GOOD}).status_code == 429
            assert other.get("/v1/batches").status_code == 200
            for path in ("/readyz", "/healthz", "/sign-in", "/openapi.json"):
                assert served.client().get(path).status_code == 200, path
            done.set()
            assert {it.result().status_code for it in uploads} == {201}
            assert {it.result().content for it in downloads} == {GOOD}
