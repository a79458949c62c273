"""Hands a small class in over HTTP and checks all that comes back: is this installation alive?

    HULEEDU_SMOKE_TOKEN=… python scripts/smoke.py --intake http://127.0.0.1:8000
        [--dagster-url http://127.0.0.1:3000] [--seconds 180]

It needs Python alone, and of this project one of its samples. The token may register, upload and
read; with `--huleedu` one is made and revoked again. The batch has a name of its own each time and
stays, as all batches do.
"""

import argparse
import json
import os
import secrets
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

TOKEN = "HULEEDU_SMOKE_TOKEN"
LOCATION = "huleedu"
_SAMPLES = Path(__file__).resolve().parents[1] / "samples"
_MISSPELLED, _CORRECTED = "becouse", "because"
_TEXT = (
    "The ferry was late, and we waited on the pier until the evening "
    f"{_MISSPELLED} nobody had told us that the engine was broken.\n"
)
_POLL_SECONDS = 0.5
_ANSWER_SECONDS = 30
_HEARTBEAT_SECONDS = 90
# A daemon's heart beats every 30 s.
_HEALTH = """{
  workspaceOrError { ... on Workspace { locationEntries {
    name locationOrLoadError { __typename } } } }
  instance { daemonHealth { allDaemonStatuses { daemonType required lastHeartbeatTime } } }
}"""


class SmokeError(Exception):
    """Something is not as it has to be; the message says what."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            SmokeError: It is none.
        """
        try:
            return json.loads(self.body)
        except ValueError:
            raise SmokeError(f"an answer ({self.status}) is no JSON") from None


def request(
    url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """Send a request, past any proxy of the environment.

    Raises:
        SmokeError: Nobody answers.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    asked = urllib.request.Request(url, body, dict(headers or {}))
    try:
        with opener.open(asked, timeout=_ANSWER_SECONDS) as response:
            return Answer(response.status, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read())
    except (OSError, HTTPException) as error:
        raise SmokeError(f"{url} does not answer: {error}") from None


@dataclass(frozen=True, slots=True)
class Intake:
    """The intake at an address, with a token."""

    url: str
    token: str

    def ask(self, path: str, *, expected: int = 200, **sent: Any) -> Answer:
        """Send a request and compare the status of its answer.

        Raises:
            SmokeError: The status is another.
        """
        headers = {"Authorization": f"Bearer {self.token}", **sent.pop("headers", {})}
        answer = request(f"{self.url}{path}", headers=headers, **sent)
        if answer.status != expected:
            said = answer.body.decode(errors="replace")[:500]
            raise SmokeError(f"{path}: {answer.status} instead of {expected}: {said}")
        return answer

    def register(self, batch_id: str, count: int) -> str:
        """Register a batch; its correlation id."""
        body = json.dumps({"batch_id": batch_id, "expected_essay_count": count}).encode()
        headers = {"Content-Type": "application/json"}
        answer = self.ask("/v1/batches/register", body=body, headers=headers, expected=201)
        return str(answer.json()["correlation_id"])

    def hand_in(self, batch_id: str, correlation_id: str, files: Mapping[str, bytes]) -> list[Any]:
        """Hand files in; what became of each."""
        boundary = secrets.token_hex(16)
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "X-Correlation-ID": correlation_id,
        }
        body = form(boundary, batch_id, files)
        answer = self.ask("/v1/files/batch", body=body, headers=headers, expected=201)
        return list(answer.json()["files"])


def form(boundary: str, batch_id: str, files: Mapping[str, bytes]) -> bytes:
    """A form with the batch and its files, as a browser sends it."""
    disposition = b'Content-Disposition: form-data; name="'
    parts = [disposition + b'batch_id"\r\n\r\n' + batch_id.encode()]
    for name, content in files.items():
        kind = b"\r\nContent-Type: application/octet-stream\r\n\r\n"
        parts.append(disposition + f'files"; filename="{name}"'.encode() + kind + content)
    mark = f"--{boundary}".encode()
    return b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"


def until(is_so: Callable[[], Any], *, seconds: float, what: Callable[[], str] | str) -> Any:
    """Wait for something; gives it.

    Raises:
        SmokeError: It takes longer.
    """
    end = time.monotonic() + seconds
    while not (found := is_so()):
        if time.monotonic() > end:
            raise SmokeError(
                f"not within {seconds:g} s: {what if isinstance(what, str) else what()}"
            )
        time.sleep(_POLL_SECONDS)
    return found


def check(name: str, found: object, expected: object) -> None:
    """Compare what was found with what has to be.

    Raises:
        SmokeError: They differ.
    """
    if found != expected:
        raise SmokeError(f"{name}: {found!r} instead of {expected!r}")


def a_class() -> dict[str, bytes]:
    """A good text, an empty file and a good docx."""
    return {
        "essay.txt": _TEXT.encode(),
        "empty.txt": b"",
        "essay.docx": (_SAMPLES / "01-anna-lindqvist.docx").read_bytes(),
    }


def check_intake(intake: Intake, seconds: float, tell: Callable[[str], None]) -> str:
    """Hand a class in, wait for its release and look at all that came of it; the batch's id.

    Raises:
        SmokeError: Something is not as it has to be.
    """
    ready = request(f"{intake.url}/readyz")
    check("/readyz", ready.status, 200)
    batch_id, files = f"smoke-{secrets.token_hex(6)}", a_class()
    correlation_id = intake.register(batch_id, len(files))
    receipts = intake.hand_in(batch_id, correlation_id, files)
    check("receipts", [it["status"] for it in receipts], ["new_essay"] * len(files))
    tell(f"handed in: batch {batch_id}, {len(files)} files")

    def batch() -> Any:
        return intake.ask(f"/v1/batches/{batch_id}").json()

    def is_settled() -> Any:
        found = batch()
        return found if found["status"] in ("ready", "incomplete") else None

    view = until(
        is_settled, seconds=seconds, what=lambda: f"the release; it is {batch()['status']}"
    )
    check("status", view["status"], "ready")
    check("ready, rejected", (view["ready"], view["rejected"]), (2, 1))
    codes = {it["file_name"]: it["code"] for it in view["essays"]}
    expected = {"essay.txt": None, "empty.txt": "EMPTY_CONTENT", "essay.docx": None}
    check("codes", codes, expected)
    tell(f"released after {view['duration_seconds']:.1f} s: 2 ready, 1 rejected as EMPTY_CONTENT")

    slots = {it["file_name"]: it["essay_id"] for it in view["essays"]}
    for name, content in files.items():
        raw = intake.ask(f"/v1/batches/{batch_id}/essays/{slots[name]}/raw")
        check(f"raw bytes of {name}", raw.body, content)
    corrected = intake.ask(f"/v1/batches/{batch_id}/essays/{slots['essay.txt']}/corrected")
    text = corrected.body.decode()
    check("corrected text", text.strip(), _TEXT.replace(_MISSPELLED, _CORRECTED).strip())
    words = intake.ask(f"/v1/batches/{batch_id}/essays/{slots['essay.docx']}/text").body.split()
    if len(words) < 100:
        raise SmokeError(f"the docx has {len(words)} words")
    report = until(
        lambda: _report(intake, batch_id), seconds=seconds, what="the report of the batch"
    )
    check("batch of the report", report["batch_id"], batch_id)
    tell("downloaded: raw bytes, texts, corrected text, report")
    return batch_id


def _report(intake: Intake, batch_id: str) -> Any:
    """The report; nothing as long as there is none, since it is made after the release."""
    headers = {"Authorization": f"Bearer {intake.token}"}
    answer = request(f"{intake.url}/v1/batches/{batch_id}/report.json", headers=headers)
    return None if answer.status == 404 else answer.json()


def check_dagster(url: str, seconds: float, tell: Callable[[str], None]) -> None:
    """Check that Dagster's pages have the code, and that every daemon's heart beats.

    Raises:
        SmokeError: Something is not as it has to be.
    """
    body = json.dumps({"query": _HEALTH}).encode()
    seen: dict[str, Any] = {}

    def is_well() -> bool:
        answer = request(f"{url}/graphql", body, {"Content-Type": "application/json"})
        data = answer.json().get("data") or {}
        entries = (data.get("workspaceOrError") or {}).get("locationEntries", [])
        loaded = [
            it["name"]
            for it in entries
            if (it["locationOrLoadError"] or {}).get("__typename") == "RepositoryLocation"
        ]
        health = (data.get("instance") or {}).get("daemonHealth", {})
        beats = {
            it["daemonType"]: it["lastHeartbeatTime"] or 0.0
            for it in health.get("allDaemonStatuses", [])
            if it["required"]
        }
        oldest = time.time() - min(beats.values(), default=0.0)
        seen.update(loaded=loaded, daemons=sorted(beats), oldest_heartbeat=round(oldest))
        return loaded == [LOCATION] and oldest < _HEARTBEAT_SECONDS

    until(is_well, seconds=seconds, what=lambda: f"code and daemon at {url}: {seen}")
    tell(f"Dagster: {LOCATION} is loaded, {', '.join(seen['daemons'])} beat")


@contextmanager
def token(huleedu: str | None) -> Iterator[str]:
    """The token of the environment, or one that ends with the block.

    Args:
        huleedu: The command line that runs `huleedu` on the installation's ledger.

    Raises:
        SmokeError: There is none, or none can be made.
    """
    if huleedu is None:
        found = os.environ.get(TOKEN, "")
        if not found:
            raise SmokeError(f"set {TOKEN} to a token that may register, upload and read")
        yield found
        return
    scopes = [word for it in ("register", "upload", "read") for word in ("--scope", it)]
    name = f"smoke {secrets.token_hex(6)}"
    made = _run([*shlex.split(huleedu), "tokens", "create", "--json", "--name", name, *scopes])
    try:
        created = json.loads(made)
        value, token_id = str(created["token"]), str(created["token_id"])
    except (ValueError, KeyError, TypeError):
        # What it printed may hold a token.
        found = "`huleedu tokens create --json` printed no token as JSON; look at --huleedu"
        raise SmokeError(found) from None
    try:
        yield value
    finally:
        _run([*shlex.split(huleedu), "tokens", "revoke", token_id])


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, timeout=_ANSWER_SECONDS
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SmokeError(f"a token can be neither made nor revoked: {error}") from None
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks; 0 when all is well, 1 when something is not."""
    about = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="smoke.py", description=about)
    parser.add_argument("--intake", default="http://127.0.0.1:8000", help="Address of the intake.")
    parser.add_argument(
        "--dagster-url", action="append", default=[], help="Dagster's pages; may be given again."
    )
    parser.add_argument("--huleedu", help="Command line of `huleedu`, which makes a token.")
    parser.add_argument("--seconds", type=float, default=180.0, help="How long to wait for each.")
    chosen = parser.parse_args(arguments)

    def tell(sentence: str) -> None:
        print(f"smoke: {sentence}", flush=True)

    try:
        for url in chosen.dagster_url:
            check_dagster(url.rstrip("/"), chosen.seconds, tell)
        with token(chosen.huleedu) as found:
            check_intake(Intake(chosen.intake.rstrip("/"), found), chosen.seconds, tell)
    except SmokeError as error:
        print(f"smoke: failed: {error}", file=sys.stderr)
        return 1
    tell("all is well")
    return 0


if __name__ == "__main__":
    sys.exit(main())
