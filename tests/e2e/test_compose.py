"""docker-compose.yml as processes: what is in the file starts, is healthy and does its work."""

import io
import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import psutil
import pytest
import sqlalchemy as sa
from minio import Minio
from minio.error import S3Error

from scripts.smoke import Intake
from tests.e2e.compose_files import ROOT, SECRETS
from tests.e2e.compose_processes import ComposeProcesses
from tests.e2e.graphql import Pages
from tests.e2e.site import wait_for

pytestmark = pytest.mark.slow

SMOKE = ROOT / "scripts" / "smoke.py"
INBOX = {"HULEEDU_INBOX_BUCKET": "huleedu-inbox", "HULEEDU_INBOX_SECRET_KEY": "inbox-secret"}
PARTS = {"code-server", "web-server", "web-server-read-only", "daemon", "intake"}
SCOPES = ("--scope", "register", "--scope", "upload", "--scope", "read")
SAMPLES = ROOT / "samples"
_DELETE = """mutation { deletePipelineRun(runId: "no-such-run") { __typename } }"""
_TWO_MINUTES_OLDER = """UPDATE daemon_heartbeats
SET timestamp = timestamp - INTERVAL '2 minutes',
    body = jsonb_set(
        body::jsonb, '{timestamp}', to_jsonb((body::jsonb ->> 'timestamp')::float - 120)
    )::text"""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeProcesses]:
    more = {"HULEEDU_SPELLING_CACHE": os.environ["HULEEDU_SPELLING_CACHE"]}
    variables = {**SECRETS, **INBOX}
    found = ComposeProcesses(tmp_path_factory.mktemp("compose"), variables=variables, more=more)
    try:
        found.start()
        yield found
    finally:
        found.close()


def databases(started: ComposeProcesses) -> str:
    return started.services["daemon"].environment["HULEEDU_DAGSTER_DATABASE_URL"]


@contextmanager
def no_outcome_is_written(started: ComposeProcesses) -> Iterator[None]:
    """A run that has begun stands still in the block, where it has its first outcome."""
    engine = sa.create_engine(sa.make_url(databases(started)).set(database="huleedu_ledger"))
    with engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE stage_outcomes IN SHARE MODE")
        yield
    engine.dispose()


def run_processes(code_server: int) -> list[psutil.Process]:
    """The processes that execute runs."""
    children = psutil.Process(code_server).children()
    return [it for it in children if "spawn_main" in " ".join(it.cmdline())]


def s3_key(started: ComposeProcesses, service: str) -> Any:
    told = started.services[service].environment
    return s3(started, told["HULEEDU_S3_ACCESS_KEY"], told["HULEEDU_S3_SECRET_KEY"])


def s3(started: ComposeProcesses, access_key: str, secret_key: str) -> Any:
    server = started.services["intake"].environment["HULEEDU_S3_ENDPOINT"]
    return Minio(
        server, access_key=access_key, secret_key=secret_key, secure=False, region="us-east-1"
    )


def test_the_smoke_script_finds_that_all_is_well(started: ComposeProcesses) -> None:
    pages = [started.url("web-server", 3000), started.url("web-server-read-only", 3001)]
    addresses = [word for url in pages for word in ("--dagster-url", url)]
    intake = ["--intake", started.url("intake", 8000), "--huleedu", "huleedu"]
    done = started.run_in("intake", sys.executable, "-I", str(SMOKE), *intake, *addresses)
    logs = "\n".join(f"{name}: {it.said}" for name, it in started.services.items())
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{logs}"
    assert "2 ready, 1 rejected as EMPTY_CONTENT" in done.stdout
    assert started.run_in("intake", "huleedu", "tokens", "list", "--json").stdout.strip() == "[]"


def test_the_smoke_script_says_in_a_sentence_that_it_got_no_token(
    started: ComposeProcesses,
) -> None:
    for huleedu in ("echo", "echo {}", "echo []"):
        done = started.run_in("intake", sys.executable, "-I", str(SMOKE), "--huleedu", huleedu)
        assert done.returncode == 1
        assert "printed no token as JSON" in done.stderr
        assert done.stderr.count("\n") == 1


def test_the_smoke_script_fails_where_something_is_wrong(started: ComposeProcesses) -> None:
    intake = ["--intake", started.url("intake", 8000), "--seconds", "1"]
    smoke = [sys.executable, "-I", str(SMOKE), *intake]
    without_a_token = started.run_in("daemon", *smoke)
    assert without_a_token.returncode == 1
    assert "set HULEEDU_SMOKE_TOKEN" in without_a_token.stderr
    wrong = started.run_in("daemon", "env", "HULEEDU_SMOKE_TOKEN=wrong", *smoke)
    assert wrong.returncode == 1
    assert "/v1/batches/register: 401 instead of 201" in wrong.stderr
    no_pages = started.run_in("daemon", *smoke, "--dagster-url", started.url("intake", 8000))
    assert no_pages.returncode == 1
    assert "code and daemon" in no_pages.stderr


def test_every_part_of_the_file_runs(started: ComposeProcesses) -> None:
    running = {
        name
        for name, it in started.services.items()
        if it.process is not None and it.process.poll() is None
    }
    assert running == {*PARTS, "s3"}
    assert started.services["set-up"].process is not None
    for it in started.services.values():
        if it.check:
            it.await_health()


def test_the_read_only_pages_refuse_what_the_others_do(started: ComposeProcesses) -> None:
    answers = {
        name: Pages(started.url(name, port)).ask(_DELETE)["deletePipelineRun"]["__typename"]
        for name, port in (("web-server", 3000), ("web-server-read-only", 3001))
    }
    assert answers == {
        "web-server": "RunNotFoundError",
        "web-server-read-only": "UnauthorizedError",
    }


def test_the_key_of_the_parts_deletes_no_blob_and_makes_no_bucket(
    started: ComposeProcesses,
) -> None:
    parts, administrator = s3_key(started, "intake"), s3_key(started, "set-up")
    blobs = list(parts.list_objects("huleedu-blobs", recursive=True))
    assert blobs, "the smoke test left some"
    with pytest.raises(S3Error, match="AccessDenied"):
        parts.remove_object("huleedu-blobs", blobs[0].object_name)
    with pytest.raises(S3Error, match="AccessDenied"):
        parts.make_bucket("another")
    buckets = {it.name for it in administrator.list_buckets()}
    assert buckets == {"huleedu-blobs", INBOX["HULEEDU_INBOX_BUCKET"]}


def test_the_key_of_the_inbox_hands_in_and_does_nothing_else(started: ComposeProcesses) -> None:
    bucket, name = INBOX["HULEEDU_INBOX_BUCKET"], "dropped/essay.docx"
    inbox = s3(started, "huleedu-inbox", INBOX["HULEEDU_INBOX_SECRET_KEY"])
    inbox.fput_object(bucket, name, str(SAMPLES / "01-anna-lindqvist.docx"))
    inbox.put_object(bucket, "dropped/.complete", io.BytesIO(b""), 0)
    for refused in (
        lambda: inbox.get_object(bucket, name),
        lambda: list(inbox.list_objects(bucket)),
        lambda: inbox.remove_object(bucket, name),
        lambda: inbox.put_object("huleedu-blobs", name, io.BytesIO(b""), 0),
        lambda: s3_key(started, "intake").put_object(bucket, name, io.BytesIO(b""), 0),
    ):
        with pytest.raises(S3Error, match="AccessDenied"):
            refused()

    def is_released() -> bool:
        shown = started.run_in("intake", "huleedu", "status", "dropped", "--json")
        return shown.returncode == 0 and json.loads(shown.stdout)["status"] == "ready"

    wait_for(is_released, seconds=240, what="the release of what was dropped")


def test_nobody_without_a_key_gives_the_s3_server_another_one(started: ComposeProcesses) -> None:
    (port,) = re.findall(r"-s3\.port\.grpc=(\d+)", " ".join(started.services["s3"].command))
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        put = channel.unary_unary("/messaging_pb.SeaweedS3IamCache/PutIdentity")
        with pytest.raises(grpc.RpcError) as refused:
            put(b"", timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_the_s3_server_writes_blobs_to_the_disk_before_and_after_a_restart(
    started: ComposeProcesses,
) -> None:
    s3_server = started.services["s3"]
    words = " ".join(s3_server.command)
    at = {
        name: ".".join(re.findall(rf"-{name}\.port(?:\.grpc)?=(\d+)", words))
        for name in ("master", "filer")
    }
    servers = " ".join(f"-{name}=127.0.0.1:{ports}" for name, ports in at.items())

    def told() -> list[tuple[str, bool]]:
        shown = started.run_in("s3", "/bin/sh", "-c", f"echo fs.configure | weed shell {servers}")
        assert shown.returncode == 0, shown.stderr
        locations = json.loads(shown.stdout)["locations"]
        return [(it["locationPrefix"], it["fsync"]) for it in locations]

    assert told() == [("/buckets/", True)]
    # It is not healthy before it was told: nobody puts a blob there sooner.
    Path(s3_server.environment["HULEEDU_S3_CONFIG"] + ".synced").unlink()
    assert not s3_server.is_healthy()
    s3_server.kill()
    s3_server.start()
    s3_server.await_health()
    assert told() == [("/buckets/", True)]


def test_ledger_and_dagster_are_in_databases_of_their_own(started: ComposeProcesses) -> None:
    url = databases(started)
    tables = {}
    for name in ("huleedu_ledger", "huleedu_dagster"):
        engine = sa.create_engine(sa.make_url(url).set(database=name))
        tables[name] = set(sa.inspect(engine).get_table_names())
        engine.dispose()
    assert "batches" in tables["huleedu_ledger"]
    assert "event_logs" in tables["huleedu_dagster"]
    assert tables["huleedu_ledger"] & tables["huleedu_dagster"] == {"alembic_version"}


def test_no_secret_is_on_a_command_line_or_in_a_log(started: ComposeProcesses) -> None:
    secrets = [it.encode() for it in (*SECRETS.values(), INBOX["HULEEDU_INBOX_SECRET_KEY"])]
    lines = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(entry.read_bytes())
        except OSError:
            continue
    said = [it.log.read_bytes() for it in started.services.values()]
    assert [it for it in secrets if any(it in text for text in (*lines, *said))] == []
    files = [
        path
        for name in PARTS
        for path in (started.folder / name / "home").rglob("*")
        if path.is_file() and any(it in path.read_bytes() for it in secrets)
    ]
    assert files == []


def test_no_log_names_a_file_that_was_handed_in(started: ComposeProcesses) -> None:
    for service in started.services.values():
        assert not re.search(r"essay\.(txt|docx)|empty\.txt|anna", service.said), service.name


def test_processes_have_no_capabilities(started: ComposeProcesses) -> None:
    for name in PARTS:
        process = started.services[name].process
        assert process is not None
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert re.search(r"^CapEff:\s0+$", status, re.MULTILINE), name
        assert re.search(r"^NoNewPrivs:\s1$", status, re.MULTILINE), name


def test_the_daemons_health_check_fails_when_it_is_dead(started: ComposeProcesses) -> None:
    daemon = started.services["daemon"]
    daemon.await_health()
    daemon.kill()
    engine = sa.create_engine(databases(started))
    with engine.begin() as connection:
        # Instead of waiting until its last heartbeat is so old: nobody renews it.
        connection.exec_driver_sql(_TWO_MINUTES_OLDER)
    engine.dispose()
    assert not daemon.is_healthy()
    daemon.start()
    daemon.await_health()


def test_a_part_whose_process_is_gone_is_unhealthy(started: ComposeProcesses) -> None:
    intake = started.services["intake"]
    intake.kill()
    assert not intake.is_healthy()
    intake.start()
    intake.await_health()


def test_set_up_may_run_again(started: ComposeProcesses) -> None:
    again = started.run_in("set-up", *started.services["set-up"].command)
    assert again.returncode == 0, again.stderr
    assert "there already" in again.stdout


def test_a_run_that_is_under_way_ends_before_its_code_server(started: ComposeProcesses) -> None:
    code_server, daemon = started.services["code-server"], started.services["daemon"]
    assert code_server.process is not None
    made = started.run_in("intake", "huleedu", "tokens", "create", "--name", "stop", *SCOPES)
    intake = Intake(started.url("intake", 8000), made.stdout.strip())
    files = {it.name: it.read_bytes() for it in SAMPLES.iterdir()}
    pages = Pages(started.url("web-server", 3000))

    def has_begun() -> bool:
        # Not sooner: who launches a run waits for its process.
        return {"STARTED"} <= pages.runs(huleedu__batch="stop").keys() <= {"STARTED", "QUEUED"}

    with no_outcome_is_written(started):
        intake.hand_in("stop", intake.register("stop", len(files)), files)
        wait_for(has_begun, seconds=120, what="a run")
        running = run_processes(code_server.process.pid)
        for it in running:
            it.suspend()
    # As compose does it: the daemon first, since it depends on the code server.
    daemon.ask_to_end()
    daemon.await_end()
    code_server.ask_to_end()
    assert "STARTED" in pages.runs(huleedu__batch="stop")
    for it in running:
        it.resume()
    assert code_server.await_end() == 0
    assert {"SUCCESS"} <= pages.runs(huleedu__batch="stop").keys() <= {"SUCCESS", "QUEUED"}
    for service in (code_server, daemon):
        service.start()
        service.await_health()


def test_everything_ends_in_time_when_asked(started: ComposeProcesses) -> None:
    codes = started.stop()
    assert set(codes) == {*PARTS, "s3"}
    for name, code in codes.items():
        assert code in (0, -signal.SIGTERM, 128 + signal.SIGTERM), (name, codes)
