"""100,000 cells on Postgres, half of them with an essay: pages, idle ticks and a single run."""

import asyncio
import atexit
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from dagster import AssetKey, AssetMaterialization
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster_graphql.schema import create_schema

from benchmarks.framework import Figure, Sample, seconds_of_others
from huleedu_dagster.partitions import cell_key
from tests.support import world_defs
from tests.support.evaluating import evaluate
from tests.support.many import MIXED, Copier, Shape, take_through, world_on_postgres
from tests.support.pages import HEALTH, STATISTICS
from tests.support.world import GOOD, World

EVEN = (
    Shape("done-0000", essays=40, expected=40),
    Shape("open-0000", essays=0, expected=40),
)
"""1,250 classes of 40 that are released and, after them, 1,250 that nobody handed in yet."""
_BATCHES = 2_500
_ASSET = AssetKey("spellcheck_result")
_SENSORS = ("upload_sensor", "batch_sensor", "failure_sensor")
_ROUNDS = 7
_SCOPE = (
    "2,500 batches of up to 40 essays with 50,000 essays, rows as runs write them in both "
    "databases, Postgres in memory; everything in this process, without HTTP and gRPC; CPU with "
    "that of Postgres"
)
_ASKED = (
    "what the partitions' page asks when nothing changed since it was asked last; parts: both "
    "questions, both together after one new event, and both when what Dagster remembers of the "
    "cells is gone (`cold`)"
)


def benchmarks() -> list[Figure]:
    """The figures of an installation with many batches."""
    return [
        Figure(
            name="partitions-100k-page",
            subject="statistics and health of an asset's 100,000 cells",
            unit="s",
            target=0.5,
            case=partial(_case, partial(_page, EVEN), EVEN),
            note=f"{_SCOPE}; classes of 40, half of them done; {_ASKED}",
            rounds=_ROUNDS,
        ),
        Figure(
            name="partitions-100k-page-mixed",
            subject="the same with classes of 10, 20 and 40 in turn, so that no two are alike",
            unit="s",
            target=0.5,
            case=partial(_case, partial(_page, MIXED), MIXED),
            note=f"{_SCOPE}; 625 batches are open; no neighbours can be told of together; {_ASKED}",
            rounds=_ROUNDS,
        ),
        Figure(
            name="partitions-100k-tick",
            subject="the slowest sensor's tick with nothing new",
            unit="s",
            target=0.2,
            case=partial(_case, _tick, MIXED),
            note=f"{_SCOPE}; 625 batches are open; parts: each sensor",
            rounds=_ROUNDS,
        ),
        Figure(
            name="partitions-100k-run",
            subject="a new essay's sensor ticks and run, longer than on an empty instance",
            unit="s",
            target=0.5,
            case=partial(_case, _run, MIXED),
            note=f"{_SCOPE}; from the tick that finds it to the end of its run, in turns with an "
            "instance of one batch; parts: both",
            rounds=_ROUNDS,
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Clocked:
    wall: float
    cpu: float


@contextmanager
def _case(
    measure: Callable[[World], Sample], shapes: Sequence[Shape], folder: Path
) -> Iterator[Callable[[], Sample]]:
    world = _many(tuple(shapes))
    call = partial(measure, world)
    # What an instance makes once is made.
    call()
    yield call


@cache
def _many(shapes: tuple[Shape, ...]) -> World:
    """An installation with all batches, for all figures of this process."""
    world = _opened()
    for shape in shapes:
        take_through(world, shape)
    copier = Copier(world)
    copies = _BATCHES // len(shapes) - 1
    # Classes that are handed in are done one after the other; those of several sizes take turns.
    for group in [[it] for it in shapes] if shapes is EVEN else [shapes]:
        copier.copy([it.batch for it in group], copies)
    copier.close()
    return world


@cache
def _empty() -> World:
    """An installation with one batch."""
    return _opened()


def _opened() -> World:
    stack = ExitStack()
    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))) / "home"
    world = stack.enter_context(world_on_postgres(home))
    # Now, so that it is closed before the server, which was started meanwhile.
    atexit.register(stack.close)
    return world


@contextmanager
def _clocked(found: dict[str, _Clocked], name: str) -> Iterator[None]:
    cpu = _cpu_seconds()
    wall = time.perf_counter()
    yield
    wall = time.perf_counter() - wall
    found[name] = _Clocked(wall, _cpu_seconds() - cpu)


def _cpu_seconds() -> float:
    return time.process_time() + seconds_of_others()


def _sample(value: float, found: dict[str, _Clocked]) -> Sample:
    parts = {name: it.wall for name, it in found.items()}
    return Sample(value, sum(it.cpu for it in found.values()), parts)


def _page(shapes: Sequence[Shape], world: World) -> Sample:
    _use(world)
    found: dict[str, _Clocked] = {}
    asked = _ASSET.to_graphql_input()
    with _clocked(found, "statistics"):
        _ask(world, STATISTICS, assetKeys=[asked])
    with _clocked(found, "health"):
        _ask(world, HEALTH, assetKey=asked)
    whole = _sample(sum(it.wall for it in found.values()), found)
    event = AssetMaterialization(_ASSET, partition=cell_key(shapes[0].batch, "e001"))
    changes: dict[str, Callable[[], object]] = {
        "after_one_event": lambda: world.instance.report_runless_asset_event(event),
        "cold": lambda: world.instance.event_log_storage.wipe_asset_cached_status(_ASSET),
    }
    for name, change in changes.items():
        change()
        with _clocked(found, name):
            _ask(world, STATISTICS, assetKeys=[asked])
            _ask(world, HEALTH, assetKey=asked)
    return replace(whole, parts={name: it.wall for name, it in found.items()})


def _tick(world: World) -> Sample:
    _use(world)
    found: dict[str, _Clocked] = {}
    for name in _SENSORS:
        with _clocked(found, name):
            evaluate(world, name)
    return _sample(max(it.wall for it in found.values()), found)


def _run(world: World) -> Sample:
    found: dict[str, _Clocked] = {}
    for name, it in (("empty", _empty()), ("many", world)):
        _use(it)
        it.register("single", expected=2)
        # Other bytes under the same path: a new version of the same essay, so a run for one.
        text = f"{GOOD} Written at {time.monotonic_ns()}."
        it.hand_in("single", {"essay.txt": text.encode()})
        before = it.daemon.run_count()
        with _clocked(found, name):
            it.tick()
        if it.daemon.run_count() != before + 1:
            raise RuntimeError("there was no run for the essay")
    return _sample(found["many"].wall - found["empty"].wall, found)


def _use(world: World) -> None:
    """Let the definitions of this process work with this installation."""
    settings = world.settings
    os.environ["HULEEDU_HOME"] = str(settings.home)
    os.environ["HULEEDU_LEDGER_URL"] = settings.ledger_url
    os.environ["HULEEDU_DAGSTER_DATABASE_URL"] = settings.dagster_database_url
    world_defs.use(world.ledger, world.blobs)


_schema: Callable[[], Any] = cache(create_schema)


def _ask(world: World, query: str, **variables: Any) -> None:
    """Ask as the web server does, which makes its schema once."""
    with partition_loading_context(dynamic_partitions_store=world.instance):
        context = world.daemon.workspace.create_request_context()
        asked = _schema().execute_async(query, context_value=context, variable_values=variables)
        result = asyncio.run(asked)
    if result.errors:
        raise RuntimeError(result.errors)
