"""Forms with files, as clients send them and as they should not."""

from typing import Any

import httpx

URL = "/v1/files/batch"
BOUNDARY = "frontier"
KIND = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
GOOD = b"This essay is about teh sea and the ships on it."


def register(client: httpx.Client, expected: int | None = None, name: str = "class-a") -> str:
    """Register a batch; gives its correlation id."""
    asked = {"batch_id": name, "expected_essay_count": expected}
    answer = client.post("/v1/batches/register", json=asked)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["correlation_id"])


def hand_in(
    client: httpx.Client,
    files: dict[str, bytes],
    headers: dict[str, str] | None = None,
    batch: str = "class-a",
) -> httpx.Response:
    """Send files as a browser does."""
    parts = [("files", (name, data)) for name, data in files.items()]
    return client.post(URL, data={"batch_id": batch}, files=parts, headers=headers)


def by_name(answer: httpx.Response) -> dict[str, dict[str, Any]]:
    """What became of each file, by its name."""
    return {it["file_name"]: it for it in answer.json()["files"]}


def statuses(answer: httpx.Response) -> list[str]:
    """What became of each file, in order."""
    return [it["status"] for it in answer.json()["files"]]


def field(name: str, value: str) -> bytes:
    """A field of a form, by hand."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
    return head.encode() + value.encode() + b"\r\n"


def file(name: bytes, data: bytes) -> bytes:
    """A file of a form, by hand."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="'.encode()
    return head + name + b'"\r\n\r\n' + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    """A whole form, by hand."""
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
