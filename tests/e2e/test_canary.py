"""Secrets go in by every way, everything goes wrong that can, and no log and no page has one."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from huleedu_dagster.assets.audit import AUDIT
from huleedu_dagster.domain.clock import utc_now
from huleedu_dagster.jobs import AUDIT_JOB, ESSAY_JOB
from huleedu_dagster.partitions import range_tags
from tests.e2e.site import Site, wait_for
from tests.factory import nasty
from tests.support.canaries import canary, in_files, in_processes, seen_in

pytestmark = pytest.mark.slow

BATCH = "class-9e"
CELLS = ("e001", "e002")
SETTINGS = {
    "HULEEDU_LOG_LEVEL": "debug",
    "HULEEDU_MAX_ATTEMPTS": "1",
    "HULEEDU_EXTRACTION_WALL_SECONDS": "10",
    "HULEEDU_INTAKE_SESSION_KEY": canary("sessionkey") * 3,
}
KINDS = (
    *("text", "misspelling", "rejected", "crashing", "excess", "late", "file", "folder"),
    *("inboxfile", "inboxfolder", "inboxtext", "misnamed", "course", "class", "instructions"),
    *("waiver", "idempotency", "wordlist", "listedword", "tokenname", "wrongtoken", "cookie"),
    *("header", "query", "path", "field", "value", "stored", "sessionkey"),
)
SECRETS = {it: canary(it) for it in KINDS}
_LAUNCH = """mutation($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}"""
_ERRORS = """{
  runsOrError(filter: {pipelineName: "process_essays", statuses: [FAILURE]}) {
    ... on Runs {
      results {
        eventConnection { events { ... on ExecutionStepFailureEvent { error { message } } } }
      }
    }
  }
}"""
_STATUS = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


class Installation:
    """A running installation into which secrets are put.

    Attributes:
        secrets: All of them, those included that the installation makes itself.
    """

    def __init__(self, folder: Path) -> None:
        words = folder / "words.txt"
        words.write_text(canary("listedword"))
        settings = {**SETTINGS, "HULEEDU_WORD_LIST": str(words)}
        self.site = Site(folder / "home", folder, settings)
        self.secrets = dict(SECRETS)
        self.seen: set[tuple[str, str]] = set()

    def start(self) -> None:
        """Start it, with a token of every kind."""
        self.site.serve()
        self.secrets["token"] = self.token(*("register", "upload", "read", "operate", "metrics"))
        self.secrets["first token"] = (self.site.home / "intake-token").read_text().strip()

    def token(self, *scopes: str) -> str:
        """A new token, whose name is a secret."""
        asked = [it for scope in scopes for it in ("--scope", scope)]
        command = [sys.executable, "-m", "huleedu_dagster.cli.app", "tokens", "create"]
        done = subprocess.run(
            [*command, "--name", canary("tokenname"), *asked, "--home", str(self.site.home)],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout.strip()

    @contextmanager
    def client(self, **headers: str) -> Iterator[httpx.Client]:
        """A client that brings the token, or what the headers say."""
        known = {"Authorization": f"Bearer {self.secrets['token']}"}
        url = f"http://127.0.0.1:{self.site.intake_port}"
        with httpx.Client(base_url=url, headers={**known, **headers}, timeout=60) as client:
            yield client

    def look_at_processes(self) -> None:
        """Note what command lines show now."""
        self.seen |= in_processes(self.site.processes(), self.secrets)

    def launch(self, job: str, tags: dict[str, str]) -> str:
        """Launch a run from Dagster's pages and wait for its end; its status."""
        selector = {"repositoryLocationName": "huleedu", "repositoryName": "__repository__"}
        tagged = [{"key": name, "value": it} for name, it in tags.items()]
        params = {
            "selector": {**selector, "pipelineName": job},
            "runConfigData": {},
            "mode": "default",
            "executionMetadata": {"tags": tagged},
        }
        launched = self.site.pages.ask(_LAUNCH, params=params)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id = launched["run"]["runId"]

        def status() -> str:
            return str(self.site.pages.ask(_STATUS, id=run_id)["runOrError"]["status"])

        wait_for(lambda: status() in {"SUCCESS", "FAILURE"}, seconds=60, what=f"the end of {job}")
        return status()

    @contextmanager
    def sql(self) -> Iterator[sqlite3.Connection]:
        """The ledger, for whoever damages it."""
        connection = sqlite3.connect(self.site.home / "ledger.db", timeout=30)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def lines(self) -> list[dict[str, Any]]:
        """All lines of all logs; each is one JSON object."""
        logs = sorted((self.site.home / "logs").iterdir())
        return [json.loads(line) for it in logs for line in it.read_text().splitlines()]

    def bad_ticks(self) -> int:
        """Number of ticks of sensors that the daemon says have failed."""
        return sum(it["event"] == "Sensor tick caught an error" for it in self.lines())

    def has_line(self, **keys: str) -> bool:
        """Whether a line says this, among other things."""
        return any(keys.items() <= it.items() for it in self.lines())


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation behind which lies a bad day; it still runs."""
    found = Installation(tmp_path_factory.mktemp("canary"))
    try:
        found.start()
        _hand_in(found)
        _use_the_inbox(found)
        _ask_for_nonsense(found)
        found.site.wait_until_ready(BATCH)
        _work_of_operators(found)
        _lose_a_blob(found)
        _damage_the_ledger(found)
        today = utc_now().date().isoformat()
        assert found.launch(AUDIT_JOB, {"dagster/partition": today}) == "SUCCESS"
        found.look_at_processes()
        yield found
    finally:
        found.site.close()


def _hand_in(found: Installation) -> None:
    text = f"This essay is about {canary('text')} and teh {canary('misspelling')} of the sea."
    files = {
        f"{canary('folder')}/{canary('file')}.txt": text.encode(),
        f"{canary('rejected')}.docx": f"PK\x03\x04 {canary('rejected')}".encode(),
        f"{canary('crashing')}.pdf": nasty.crashing_pdf(),
        "plain.txt": b"Another essay about the sea and the ships that sail on it.",
        f"{canary('excess')}.txt": f"Too many {canary('excess')} essays are here.".encode(),
    }
    registration = {
        "batch_id": BATCH,
        "expected_essay_count": 4,
        "course": canary("course"),
        "class_name": canary("class"),
        "instructions": canary("instructions"),
        "word_list": [canary("wordlist")],
    }
    parts = [("files", it) for it in files.items()]
    keyed = {"Idempotency-Key": canary("idempotency")}
    with found.client() as client:
        answer = client.post("/v1/batches/register", json=registration)
        assert answer.status_code == 201, answer.text
        for _ in range(2):
            form = {"batch_id": BATCH}
            answer = client.post("/v1/files/batch", data=form, files=parts, headers=keyed)
            assert answer.status_code == 201, answer.text
    found.look_at_processes()


def _use_the_inbox(found: Installation) -> None:
    inbox = found.site.home / "inbox"
    inside = inbox / "class-9f" / canary("inboxfolder")
    inside.mkdir(parents=True)
    text = f"An essay of the inbox with {canary('inboxtext')} and the sea."
    (inside / f"{canary('inboxfile')}.txt").write_text(text)
    (inbox / "class-9f" / ".complete").touch()
    misnamed = inbox / f"{canary('misnamed')} Ä!"
    misnamed.mkdir()
    (misnamed / "essay.txt").write_text(text)


def _ask_for_nonsense(found: Installation) -> None:
    name, late = canary("path"), [("files", (f"{canary('late')}.txt", b"Late."))]
    wrong = {"batch_id": BATCH, canary("field"): canary("value"), "min_words": canary("value")}
    with found.client() as client:
        answers = [
            client.post("/v1/batches/register", json=wrong),
            client.post("/v1/batches/register", content=f'{{"{canary("field")}'),
            client.get(f"/v1/batches/{name}/essays/{name}?q={canary('query')}"),
            client.get(f"/{name}.html"),
            client.get("/v1/batches", headers={"X-Correlation-ID": canary("header")}),
            client.get("/v1/batches", headers={"Host": canary("header")}),
            client.post("/v1/files/batch", data={"batch_id": name}, files=late),
            client.request(canary("value").upper(), "/v1/batches"),
        ]
    with found.client(Authorization=f"Bearer hul_{canary('wrongtoken')}") as client:
        answers.append(client.get("/v1/batches"))
    cookie = {"Cookie": f"huleedu_session={canary('cookie')}", "Accept": "text/html"}
    with found.client(**cookie, Authorization="") as client:
        form = {"token": canary("wrongtoken"), "next": f"/{name}"}
        answers += [client.get("/"), client.post("/sign-in", data=form)]
    assert {it.status_code // 100 for it in answers} <= {3, 4}


def _work_of_operators(found: Installation) -> None:
    late = [("files", (f"{canary('late')}.txt", f"A late {canary('late')}.".encode()))]
    with found.client() as client:
        answer = client.post("/v1/files/batch", data={"batch_id": BATCH}, files=late)
        assert answer.json()["files"][0]["status"] in {"late", "excess"}, answer.text
        asked = {"batch_id": "class-9g", "expected_essay_count": 2}
        client.post("/v1/batches/register", json=asked)
        client.post("/v1/batches/class-9g/close")
        reason = {"reason": canary("waiver")}
        answer = client.post("/v1/batches/class-9g/essays/e002/waive", json=reason)
        assert answer.status_code == 200, answer.text
        for page in (f"/batches/{BATCH}", f"/v1/batches/{BATCH}/report.html"):
            assert client.get(page).status_code == 200


def _lose_a_blob(found: Installation) -> None:
    """An essay whose raw bytes are gone: its run fails, and it becomes a dead letter."""
    with found.sql() as ledger:
        (key,) = ledger.execute(
            "SELECT blob_key FROM uploads WHERE batch_id = ? AND slot = 'e004'", (BATCH,)
        ).fetchone()
    (blob,) = (found.site.home / "blobs").rglob(key.rpartition("/")[2])
    shutil.move(blob, found.site.home.parent / "lost")
    with found.sql() as ledger:
        cell = "WHERE batch_id = ? AND slot = 'e004'"
        for table in ("current_outcomes", "stage_outcomes"):
            ledger.execute(f"DELETE FROM {table} {cell}", (BATCH,))
        ledger.execute(f"UPDATE essays SET pending = 1, due = 1 {cell}", (BATCH,))
    wait_for(lambda: found.has_line(status="dead_lettered"), seconds=60, what="a dead letter")


def _damage_the_ledger(found: Installation) -> None:
    """Settings that cannot be read: whoever reads them has an error that quotes them."""
    with found.sql() as ledger:
        (stored,) = ledger.execute(
            "SELECT settings FROM batches WHERE batch_id = ?", (BATCH,)
        ).fetchone()
        damaged = json.dumps({"word_list": canary("stored"), "min_words": canary("stored")})
        ledger.execute("UPDATE batches SET settings = ?, reported_at = NULL", (damaged,))
    with found.client() as client:
        for page in (f"/v1/batches/{BATCH}", f"/batches/{BATCH}"):
            assert client.get(page).is_error
    assert found.launch(ESSAY_JOB, range_tags(BATCH, CELLS, CELLS)) == "FAILURE"
    with found.sql() as ledger:
        ledger.execute("UPDATE batches SET settings = ?", (stored,))
        ledger.execute("ALTER TABLE uploads RENAME TO gone")
    late = [("files", (f"{canary('late')}.txt", b"Not to be kept, and not to be told."))]
    with found.client() as client:
        answer = client.post("/v1/files/batch", data={"batch_id": BATCH}, files=late)
    assert answer.status_code in {500, 503}
    before = found.bad_ticks()
    wait_for(lambda: found.bad_ticks() > before, seconds=60, what="a bad tick")
    with found.sql() as ledger:
        ledger.execute("ALTER TABLE gone RENAME TO uploads")


def test_secrets_are_found_where_they_belong(after: Installation) -> None:
    home = after.site.home
    kept = {it for _, it in in_files(home / "blobs", after.secrets)}
    assert {"text", "misspelling", "rejected", "excess", "inboxtext", "late"} <= kept
    known = {it for place, it in in_files(home, after.secrets) if place.startswith("ledger.db:")}
    assert {"file", "folder", "inboxfile", "course", "class", "instructions", "waiver"} <= known
    assert {"wordlist", "tokenname"} <= known
    assert {it for _, it in in_files(home / "inbox", after.secrets)} >= {"misnamed", "inboxfile"}


def test_no_secret_is_in_dagsters_folder_or_databases(after: Installation) -> None:
    folder = after.site.home / "dagster"
    assert any(it.suffix == ".db" for it in folder.rglob("*"))
    assert in_files(folder, after.secrets) == set()


def test_no_secret_is_in_a_log_or_in_what_up_says(after: Installation) -> None:
    assert in_files(after.site.home / "logs", after.secrets) == set()
    said = "".join(after.site.serve().lines)
    assert seen_in(said.encode(), after.secrets) == set()


def test_the_number_of_an_error_on_dagsters_pages_finds_its_line(after: Installation) -> None:
    runs = after.site.pages.ask(_ERRORS)["runsOrError"]["results"]
    events = [event for run in runs for event in run["eventConnection"]["events"]]
    messages = [it["error"]["message"] for it in events if it.get("error")]
    numbers = [re.findall(r"[Ee]rror ID ([0-9a-f-]{36})", it) for it in messages]
    assert numbers
    assert all(numbers)
    for (number,) in numbers:
        (line,) = [it for it in after.lines() if number in it["event"]]
        assert line["reason"]
        assert line["trace"]


def test_no_secret_is_in_metrics_or_command_lines(after: Installation) -> None:
    with after.client() as client:
        answer = client.get("/metrics")
    assert answer.status_code == 200
    assert seen_in(answer.content, after.secrets) == set()
    assert after.seen == set()


def test_every_line_is_json_with_the_keys_and_errors_have_class_and_place(
    after: Installation,
) -> None:
    lines = after.lines()
    assert {tuple(it)[:4] for it in lines} == {("timestamp", "level", "logger", "event")}
    by_phase = {it.get("phase") for it in lines}
    assert {"request", "sensor", "essay", "run", "extracted_plaintext", "action"} <= by_phase
    assert {"batch_manifest", "batch_report", "batch_release", AUDIT, "inbox"} <= by_phase
    failed = [it for it in lines if it["level"] == "error"]
    assert {"UnreadableBatchError", "OperationalError", "SensorExecutionError"} <= {
        reason
        for it in failed
        for reason in (it.get("reason"), *(cause["reason"] for cause in it.get("causes", ())))
    }
    assert all(it["trace"] for it in failed if "reason" in it and "trace" in it)
