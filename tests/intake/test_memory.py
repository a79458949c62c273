"""Memory of the intake's process: it stays flat however large the files are."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.intake.forms import BOUNDARY, KIND, URL, field
from tests.intake.process import IntakeProcess, intake_process

MB = 1_000_000
FILE_BYTES = 50 * MB
MOST_BYTES = 200 * MB
CONNECTIONS = 4


@dataclass(frozen=True)
class Large:
    """A form with one large file, made while it is sent.

    Attributes:
        number: Makes its bytes differ from those of others.
        size: Of the file, bytes.
    """

    number: int
    size: int = FILE_BYTES

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.number}.bin"

    @property
    def length(self) -> int:
        """Size of the whole form, bytes."""
        return len(self._head) + self.size + len(self._tail)

    @cached_property
    def sha256(self) -> str:
        """Hash of the file."""
        found = hashlib.sha256()
        for piece in self._data():
            found.update(piece)
        return found.hexdigest()

    def pieces(self) -> Iterator[bytes]:
        """The form."""
        yield self._head
        yield from self._data()
        yield self._tail

    def _data(self) -> Iterator[bytes]:
        piece = hashlib.sha256(str(self.number).encode()).digest() * (MB // 32)
        for start in range(0, self.size, MB):
            yield piece[: min(MB, self.size - start)]

    @property
    def _head(self) -> bytes:
        disposition = f'Content-Disposition: form-data; name="files"; filename="{self.name}"'
        return field("batch_id", "class-a") + f"--{BOUNDARY}\r\n{disposition}\r\n\r\n".encode()

    @property
    def _tail(self) -> bytes:
        return f"\r\n--{BOUNDARY}--\r\n".encode()


def send(client: httpx.Client, large: Large, headers: dict[str, str]) -> httpx.Response:
    """Send a form while it is made, saying how long it is."""
    length = {"Content-Length": str(large.length)}
    return client.post(URL, content=large.pieces(), headers={**KIND, **length, **headers})


def hand_in(intake: IntakeProcess, large: Large, headers: dict[str, str]) -> dict[str, Any]:
    """Hand in one file over a connection of its own; its receipt."""
    with intake.client() as client:
        answer = send(client, large, headers)
    assert answer.status_code == 201, answer.text
    (receipt,) = answer.json()["files"]
    assert (receipt["file_name"], receipt["bytes"]) == (large.name, large.size)
    return dict(receipt)


def download(intake: IntakeProcess, slot: str) -> str:
    """Download a file; the hash of what came."""
    found = hashlib.sha256()
    url = f"/v1/batches/class-a/essays/{slot}/raw"
    with intake.client() as client, client.stream("GET", url) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-length"] == str(FILE_BYTES)
        for piece in answer.iter_bytes():
            found.update(piece)
    return found.hexdigest()


def register(intake: IntakeProcess) -> None:
    """Register the batch that all hand in to."""
    with intake.client() as client:
        asked = {"batch_id": "class-a"}
        assert client.post("/v1/batches/register", json=asked).status_code == 201


@pytest.mark.slow
def test_files_of_fifty_megabytes_over_several_connections_fit_into_little_memory(
    tmp_path: Path,
) -> None:
    with intake_process(tmp_path) as intake:
        register(intake)
        files = [Large(number) for number in range(2 * CONNECTIONS)]
        # Every second request is set aside first.
        keys = [{"Idempotency-Key": it.name} if it.number % 2 else {} for it in files]
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            receipts = list(
                pool.map(lambda it: hand_in(intake, *it), zip(files, keys, strict=True))
            )
        assert [it["sha256"] for it in receipts] == [it.sha256 for it in files]
        assert sorted(it["essay_id"] for it in receipts) == [f"e00{n}" for n in range(1, 9)]
        for receipt in receipts:
            blob = f"raw_upload_blob/class-a/{receipt['upload_id']}"
            assert len(intake.blobs.get(blob, receipt["sha256"])) == FILE_BYTES
        slots = [it["essay_id"] for it in receipts]
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            found = list(pool.map(lambda it: download(intake, it), slots))
        assert found == [it.sha256 for it in files]
        assert intake.remains() == []
        peak = intake.peak_memory()
    assert peak < MOST_BYTES, f"{peak / MB:.0f} MB"


@pytest.mark.slow
def test_what_is_too_large_is_refused_in_little_memory(tmp_path: Path) -> None:
    limit = {"HULEEDU_INTAKE_MAX_REQUEST_BYTES": str(300 * MB)}
    with intake_process(tmp_path, **limit) as intake, intake.client() as client:
        register(intake)
        declared = send(client, Large(1, 1_000 * MB), {})
        assert (declared.status_code, declared.json()["code"]) == (413, "REQUEST_TOO_LARGE")
        for headers in ({}, {"Idempotency-Key": "large"}):
            answer = send(client, Large(1, 250 * MB), headers)
            assert answer.status_code == 207
            (told,) = answer.json()["files"]
            assert (told["status"], told["code"]) == ("refused", "TOO_LARGE")
            # Without a length, only its bytes tell how large it is.
            endless = Large(1, 350 * MB).pieces()
            undeclared = client.post(URL, content=endless, headers={**KIND, **headers})
            assert (undeclared.status_code, undeclared.json()["code"]) == (413, "REQUEST_TOO_LARGE")
        assert list(intake.blobs.keys("raw_upload_blob")) == []
        assert intake.remains() == []
        peak = intake.peak_memory()
    assert peak < MOST_BYTES, f"{peak / MB:.0f} MB"
