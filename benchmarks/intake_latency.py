"""How long a class waits: from the last byte of its files to its results, over HTTP."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate, count, pairwise
from pathlib import Path

import httpx

from benchmarks.essays import write_class
from benchmarks.framework import Figure, Sample
from benchmarks.running import Running, running
from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.sensors.tags import BATCH_TAG, KIND_TAG, RunKind
from huleedu_dagster.settings import Settings

ESSAYS = 30
CLASSES = 7
TARGET_SECONDS = 15
PARTS = (
    "answer",
    "sensor_wait",
    "run_start",
    "work",
    "closing_sensor_wait",
    "closing_run_start",
    "closing_work",
)
"""From the last byte to the answer to the request, to the run for the essays, to its op, to the
last outcome in the ledger, to the run for the closing work, to its op, to the released batch."""

_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 120
_SENSOR_SECONDS = 5.0
_PIECE_BYTES = 65_536


def benchmarks() -> list[Figure]:
    """How long the results of a class take."""
    return [
        Figure(
            name="intake-latency",
            subject=(
                f"from the last byte of a class of {ESSAYS} over HTTP until it is released and "
                "all its results are visible; `huleedu up` with default settings"
            ),
            unit="s",
            target=TARGET_SECONDS,
            case=_site,
            rounds=CLASSES,
            note=(
                "docx, odt, pdf and txt, one class after the other, at moments that have nothing "
                "to do with the sensors' ticks; the parts follow each other, their limits are "
                "moments of the ledger and of Dagster's runs; cpu is that of all processes of "
                "`up` meanwhile; starting it and building the spelling index are not timed"
            ),
        )
    ]


@contextmanager
def _site(folder: Path) -> Iterator[Callable[[], Sample]]:
    numbers, chance = count(1), random.Random(5)
    with running(folder / "home") as site:
        headers = {"Authorization": f"Bearer {site.token()}"}
        client = httpx.Client(base_url=site.url, headers=headers, timeout=60, trust_env=False)
        with client, _watching(site, client) as watch:

            def measure() -> Sample:
                essays = folder / f"class-{next(numbers)}"
                write_class(essays, ESSAYS, seed=5)
                time.sleep(chance.random() * _SENSOR_SECONDS)
                return _class_waits(watch, essays)

            yield measure


@dataclass(frozen=True, slots=True)
class _Watch:
    """Looks at a site from all sides."""

    site: Running
    client: httpx.Client
    ledger: Ledger
    home: DagsterHome

    def wait(self, batch_id: str) -> float:
        """Wait until a batch is released with an outcome for each essay; the moment."""
        until = time.time() + _PATIENCE_SECONDS
        while (now := time.time()) < until:
            batch = self.client.get(f"/v1/batches/{batch_id}").raise_for_status().json()
            if batch["status"] in (BatchStatus.READY, BatchStatus.INCOMPLETE):
                if batch["ready"] != ESSAYS:
                    raise RuntimeError("not every essay of the class was accepted")
                return now
            time.sleep(_POLL_SECONDS)
        raise RuntimeError(f"the class was not released within {_PATIENCE_SECONDS} s")

    def last_outcome(self, batch_id: str) -> float:
        """When the last outcome of an essay was recorded."""
        with self.ledger.read() as tx:
            moments = [it.recorded_at for it in tx.outcomes.current(batch_id)]
        return max(it for it in moments if it is not None).timestamp()

    def run(self, batch_id: str, kind: RunKind) -> list[float]:
        """When the last run of a kind was made, and when its first step began."""
        from dagster import DagsterEventType, RunsFilter

        with self.home.instance() as instance:
            tags = {BATCH_TAG: batch_id, KIND_TAG: kind.value}
            (record,) = instance.get_run_records(RunsFilter(tags=tags), limit=1)
            steps = instance.get_records_for_run(
                record.dagster_run.run_id, of_type=DagsterEventType.STEP_START
            ).records
        return [record.create_timestamp.timestamp(), min(it.timestamp for it in steps)]


@contextmanager
def _watching(site: Running, client: httpx.Client) -> Iterator[_Watch]:
    settings = Settings(home=site.home)
    ledger = Ledger(settings.resolved_ledger_url)
    try:
        yield _Watch(site, client, ledger, DagsterHome(settings))
    finally:
        ledger.close()


def _class_waits(watch: _Watch, essays: Path) -> Sample:
    batch_id = essays.name
    asked = {"batch_id": batch_id, "expected_essay_count": ESSAYS}
    watch.client.post("/v1/batches/register", json=asked).raise_for_status()
    form = _Form.of(watch.client, batch_id, essays)
    cpu = watch.site.cpu_seconds()
    watch.client.post(
        "/v1/files/batch", content=form.pieces(), headers=form.headers
    ).raise_for_status()
    answered = time.time()
    released = watch.wait(batch_id)
    cpu = watch.site.cpu_seconds() - cpu
    moments = [
        form.sent,
        answered,
        *watch.run(batch_id, RunKind.ESSAYS),
        watch.last_outcome(batch_id),
        *watch.run(batch_id, RunKind.CLOSING),
        released,
    ]
    # A run may be made before the answer is read: then its wait is nothing, not less.
    lengths = (after - before for before, after in pairwise(accumulate(moments, max)))
    return Sample(released - form.sent, cpu, dict(zip(PARTS, lengths, strict=True)))


@dataclass(slots=True)
class _Form:
    """A form with the files of a class.

    Attributes:
        sent: When its last byte was handed to the system.
    """

    body: bytes
    headers: dict[str, str]
    sent: float = field(default=0.0)

    @classmethod
    def of(cls, client: httpx.Client, batch_id: str, essays: Path) -> "_Form":
        """The form that a browser makes of a dropped folder."""
        paths = sorted(it for it in essays.rglob("*") if it.is_file())
        files = [("files", (it.relative_to(essays).as_posix(), it.read_bytes())) for it in paths]
        request = client.build_request("POST", "/", data={"batch_id": batch_id}, files=files)
        headers = {it: request.headers[it] for it in ("Content-Type", "Content-Length")}
        return cls(request.read(), headers)

    def pieces(self) -> Iterator[bytes]:
        """The body; asked for the piece after the last one, the last one was sent."""
        for start in range(0, len(self.body), _PIECE_BYTES):
            yield self.body[start : start + _PIECE_BYTES]
        self.sent = time.time()
