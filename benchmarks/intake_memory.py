"""How much memory the intake's process holds while large files come and go."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.framework import Figure, Sample
from benchmarks.running import Running, running

FILES = 8
CONNECTIONS = 4
FILE_BYTES = 50_000_000
TARGET_MB = 200
_BATCH = "class-1"
_BOUNDARY = "frontier"
_PIECE_BYTES = 1_000_000


def benchmarks() -> list[Figure]:
    """The memory of the intake."""
    return [
        Figure(
            name="intake-memory",
            subject=(
                f"most memory the intake's process ever held: {FILES} files of "
                f"{FILE_BYTES // 1_000_000} MB over {CONNECTIONS} connections, and back again"
            ),
            unit="MB",
            target=TARGET_MB,
            case=_site,
            rounds=1,
            note=(
                "every second request has an Idempotency-Key, so that it is set aside first; "
                "`huleedu up` with default settings; part `idle` is the same before the first file"
            ),
        )
    ]


@contextmanager
def _site(folder: Path) -> Iterator[Callable[[], Sample]]:
    with running(folder / "home") as site:
        headers = {"Authorization": f"Bearer {site.token()}"}
        client = httpx.Client(base_url=site.url, headers=headers, timeout=120, trust_env=False)
        with client:
            yield lambda: _rush(site, client)


def _rush(site: Running, client: httpx.Client) -> Sample:
    asked = {"batch_id": _BATCH, "expected_essay_count": FILES}
    client.post("/v1/batches/register", json=asked).raise_for_status()
    idle, cpu = site.intake_peak_mb(), site.cpu_seconds()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        slots = list(pool.map(lambda it: _send(client, it), range(FILES)))
        list(pool.map(lambda it: _fetch(client, it), slots))
    return Sample(site.intake_peak_mb(), site.cpu_seconds() - cpu, {"idle": idle})


def _send(client: httpx.Client, number: int) -> str:
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="batch_id"\r\n\r\n{_BATCH}\r\n'
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="files"; '
        f'filename="{number}.bin"\r\n\r\n'
    ).encode()
    tail = f"\r\n--{_BOUNDARY}--\r\n".encode()

    def pieces() -> Iterator[bytes]:
        yield head
        for _ in range(FILE_BYTES // _PIECE_BYTES):
            yield bytes([number]) * _PIECE_BYTES
        yield tail

    headers = {
        "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
        "Content-Length": str(len(head) + FILE_BYTES + len(tail)),
        **({"Idempotency-Key": str(number)} if number % 2 else {}),
    }
    answer = client.post("/v1/files/batch", content=pieces(), headers=headers)
    answer.raise_for_status()
    return str(answer.json()["files"][0]["essay_id"])


def _fetch(client: httpx.Client, slot: str) -> None:
    with client.stream("GET", f"/v1/batches/{_BATCH}/essays/{slot}/raw") as answer:
        answer.raise_for_status()
        if sum(len(it) for it in answer.iter_bytes()) != FILE_BYTES:
            raise RuntimeError("a file did not come back whole")
