"""An installation on several machines, as far as one can have them: homes that share nothing.

Postgres, S3 server and broker are real; code server, daemon, web server and workers are started by
the commands of production, each in a process group of its own.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.ledger import tables
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.orchestration.child import command
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.pipeline.views import BatchFacts, BatchView, batch_view
from huleedu_dagster.sensors.tags import BATCH_TAG
from huleedu_dagster.settings import Settings
from tests.e2e.graphql import Pages
from tests.e2e.site import free_port
from tests.support.postgres import postgres_database
from tests.support.seaweed import s3_options
from tests.support.valkey import valkey
from tests.support.valkey_server import Valkey

HULEEDU = [sys.executable, "-P", "-m", "huleedu_dagster.cli.app"]
_SECONDS = 240
_PAUSE_SECONDS = 0.05
_ESSAY = "The {} essay of a class that writes about the sea and the wind, and about boats.\n"


def wait_for(is_so: Callable[[], bool], what: str, seconds: float = _SECONDS) -> None:
    """Wait until something is so; fail the test when it takes longer."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, f"not within {seconds} s: {what}"
        time.sleep(_PAUSE_SECONDS)


@dataclass
class Program:
    """A part that runs, in a process group of its own."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def kill(self) -> None:
        """End it with all that it started, at once."""
        if self.is_alive:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def has(self, pid: int) -> bool:
        """Whether a process is of its group."""
        try:
            return os.getpgid(pid) == self.process.pid
        except ProcessLookupError:
            return False


@dataclass
class ScaleSite:
    """Databases, bucket and broker of an installation, and the parts that run on them.

    Attributes:
        folder: Where the homes are.
        monitoring: Changes of `run_monitoring` in the daemon's `dagster.yaml`.
    """

    folder: Path
    monitoring: dict[str, Any] = field(default_factory=dict)
    workers: list[Program] = field(default_factory=list)
    _others: list[Program] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)
    _numbers: int = 0

    def start(self, workers: int) -> None:
        """Set the installation up and start code server, daemon and workers."""
        self.broker.start()
        self._stack.callback(self.broker.kill)
        subprocess.run([*HULEEDU, "set-up"], env=self._environment("main"), check=True, timeout=60)
        self._hurry()
        self._others.append(self._start("main", "code-server", "--port", str(self.code_port)))
        self.workers += [self.start_worker() for _ in range(workers)]
        self._others.append(self._start("main", "daemon", *self._code_server))

    def start_worker(self) -> Program:
        """One more worker, on a home of its own."""
        self._numbers += 1
        return self._start(f"worker-{self._numbers}", "worker")

    def replace(self, worker: Program) -> None:
        """Start another worker in place of one that has ended."""
        self.workers[self.workers.index(worker)] = self.start_worker()

    def pages(self) -> Pages:
        """Dagster's pages, by a web server that answers."""
        port = free_port()
        server = self._start("main", "web-server", "--port", str(port), *self._code_server)
        self._others.append(server)
        pages = Pages(f"http://127.0.0.1:{port}")

        def answers() -> bool:
            try:
                pages.ask("{ version }")
            except OSError:
                return False
            return True

        wait_for(answers, "Dagster's pages")
        return pages

    def close(self) -> None:
        """Leave nothing behind."""
        for program in (*self.workers, *self._others):
            program.kill()
        self._stack.close()

    @cached_property
    def broker(self) -> Valkey:
        """The broker, which may be ended and started again; it wants a password."""
        return valkey(self.folder / "broker", "broker-secret")

    @cached_property
    def code_port(self) -> int:
        """Port of the code server."""
        return free_port()

    @cached_property
    def settings(self) -> Settings:
        """The installation on the home of the daemon."""
        blobs = s3_options(self.folder)
        return Settings(
            home=self.folder / "main",
            ledger_url=self._stack.enter_context(postgres_database()),
            dagster_database_url=self._stack.enter_context(postgres_database(migrated=False)),
            broker_url=self.broker.url,
            s3_endpoint=blobs.endpoint,
            s3_bucket=blobs.bucket,
            s3_access_key=blobs.access_key,
            s3_secret_key=blobs.secret_key,
            s3_secure=False,
            sensor_interval_seconds=1,
            inbox_settle_seconds=0,
        )

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger."""
        found = Ledger(self.settings.ledger_url)
        self._stack.callback(found.close)
        return found

    @cached_property
    def dagster(self) -> DagsterInstance:
        """Dagster's data."""
        watching = self.settings.model_copy(update={"home": self.folder / "watching"})
        return self._stack.enter_context(DagsterHome(watching).instance())

    def sql(self, url: str) -> sa.Connection:
        """A connection of the test's own."""
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        self._stack.callback(engine.dispose)
        return self._stack.enter_context(engine.connect())

    def hand_in(self, batch_id: str, essays: int) -> None:
        """Put a complete class into the inbox, all at once."""
        arriving = self.folder / "main" / f"arriving-{batch_id}"
        arriving.mkdir(parents=True)
        for number in range(essays):
            (arriving / f"{number}.txt").write_text(_ESSAY.format(number), encoding="utf-8")
        (arriving / ".complete").touch()
        arriving.rename(self.folder / "main" / "inbox" / batch_id)

    def view(self, batch_id: str) -> BatchView | None:
        """The batch in the ledger, `None` before it is registered."""
        with self.ledger.read() as tx:
            if tx.batches.find(batch_id) is None:
                return None
            return batch_view(BatchFacts.read(tx, batch_id), tx.now)

    def wait_until_released(self, batch_id: str) -> None:
        """Wait until a batch is released and none of its runs is under way."""

        def is_over() -> bool:
            view = self.view(batch_id)
            released = view is not None and view.status is BatchStatus.READY
            return released and all(it.is_finished for it in self.runs(batch_id))

        wait_for(is_over, f"{batch_id} released")

    def runs(self, batch_id: str) -> list[DagsterRun]:
        """The runs of a batch, the latest first."""
        return list(self.dagster.get_runs(RunsFilter(tags={BATCH_TAG: batch_id})))

    def story(self, batch_id: str) -> str:
        """What Dagster tells about the runs of a batch, for the message of a failed test."""
        lines = []
        for run in reversed(self.runs(batch_id)):
            lines.append(f"{run.run_id} {run.job_name} {run.status}")
            for it in self.dagster.all_logs(run.run_id):
                event = it.dagster_event
                if event is not None and event.asset_key is None:
                    lines.append(f"{it.timestamp:.1f} {event.event_type_value} {event.message}")
        return "\n".join(lines)

    def status(self, run_id: str) -> DagsterRunStatus:
        """How a run is now."""
        found = self.dagster.get_run_by_id(run_id)
        assert found is not None
        return found.status

    def statuses(self, batch_id: str) -> list[DagsterRunStatus]:
        """How the runs of a batch are now, the latest first."""
        return [it.status for it in self.runs(batch_id)]

    def outcomes(self, batch_id: str) -> Counter[tuple[str, str]]:
        """Rows of outcomes by slot and stage."""
        table = tables.stage_outcomes
        query = sa.select(table.c.slot, table.c.stage).where(table.c.batch_id == batch_id)
        return Counter((row.slot, row.stage) for row in self._rows(query))

    def events(self, batch_id: str) -> Counter[tuple[str, str | None]]:
        """Events of the outbox by type and slot."""
        table = tables.outbox
        query = sa.select(table.c.event_type, table.c.slot).where(table.c.batch_id == batch_id)
        return Counter((row.event_type, row.slot) for row in self._rows(query))

    def attempts(self, batch_id: str) -> list[str]:
        """Reasons of the failed attempts that were counted."""
        table = tables.attempts
        query = sa.select(table.c.reason).where(table.c.batch_id == batch_id)
        return [str(row.reason) for row in self._rows(query)]

    def logs(self) -> str:
        """All that the parts have said."""
        return "".join(it.read_text(errors="replace") for it in self.folder.glob("*.log"))

    @property
    def _code_server(self) -> tuple[str, str]:
        return ("--code-server", f"127.0.0.1:{self.code_port}")

    def _rows(self, query: "sa.Select[Any]") -> list[Any]:
        with self.sql(self.settings.ledger_url) as connection:
            return list(connection.execute(query))

    def _start(self, home: str, part: str, *options: str) -> Program:
        log = self.folder / f"{home}-{part}.log"
        with log.open("ab") as stream:
            process = subprocess.Popen(
                command([*HULEEDU, "serve", part, *options]),
                env=self._environment(home),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        return Program(process, log)

    def _environment(self, home: str) -> dict[str, str]:
        values = self.settings.model_dump(exclude_unset=True, exclude={"home", "s3_secret_key"})
        assert self.settings.s3_secret_key is not None
        values["s3_secret_key"] = self.settings.s3_secret_key.get_secret_value()
        values["home"] = self.folder / home
        return {**os.environ, **{f"HULEEDU_{name.upper()}": str(it) for name, it in values.items()}}

    def _hurry(self) -> None:
        """Have the daemon notice sooner what it would notice; as an operator would."""
        home = DagsterHome(self.settings)
        home.prepare()
        path = home.folder / "dagster.yaml"
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        config["run_monitoring"] |= {"poll_interval_seconds": 1, **self.monitoring}
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
