"""100,000 cells, half of them with an essay, on Postgres: what is asked does not grow with them.

How long it takes is shown by the benchmarks `partitions-100k`; here statements are counted, and
the rows that the server reads for them.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.evaluating import evaluate
from tests.support.many import MIXED, Copier, Shape, copies_of, take_through, world_on_postgres
from tests.support.pages import HEALTH, STATISTICS
from tests.support.reading import Reading, reading
from tests.support.world import World

pytestmark = pytest.mark.slow

COPIES = 624
BATCHES = (COPIES + 1) * len(MIXED)
OPEN = (COPIES + 1) * sum(it.essays < it.expected for it in MIXED)
ESSAYS = (COPIES + 1) * sum(it.essays for it in MIXED)
SLOTS = max(it.expected for it in MIXED)
ASSET = {"path": ["spellcheck_result"]}
STALENESS = """query($key: AssetKeyInput!, $partition: String) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode { staleStatus(partition: $partition) } }
}"""
SENSORS = ("upload_sensor", "batch_sensor", "failure_sensor")
_VOLATILE = re.compile(
    r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32,64}|(?<=\"log_key\": \")[a-z]+"
    r"|\d+(?:\.\d+)?(?:e-\d+)?(?:ms|s)?"
)


def questions(world: World) -> Mapping[str, Callable[[], object]]:
    """What is asked of an installation again and again."""
    cell = f"{MIXED[0].batch}|e003"

    def run() -> None:
        assert world.execute("process_essays", first=cell, last=cell).success

    def ask(name: str) -> Callable[[], object]:
        return lambda: evaluate(world, name)

    return {
        **{name: ask(name) for name in SENSORS},
        "run": run,
        "statistics": lambda: world.graphql(STATISTICS, assetKeys=[ASSET]),
        "health": lambda: world.graphql(HEALTH, assetKey=ASSET),
    }


def read_by(world: World) -> dict[str, Reading]:
    """What each question reads when it is not the first time."""
    urls = [world.settings.resolved_ledger_url, world.settings.dagster_database_url]
    found = {}
    for name, ask in questions(world).items():
        # Looked at too, or the server would count some of it as the second time's.
        with reading(urls):
            ask()
        with reading(urls) as found[name]:
            ask()
    return found


@dataclass(frozen=True, slots=True)
class Many:
    """An installation with many batches, and what was read in it with few and with many."""

    world: World
    few: Mapping[str, Reading]
    many: Mapping[str, Reading]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Many]:
    """An installation with all batches."""
    with world_on_postgres(tmp_path_factory.mktemp("many") / "home") as world:
        for shape in MIXED:
            take_through(world, shape)
        few = read_by(world)
        copier = Copier(world)
        copier.copy([it.batch for it in MIXED], COPIES)
        copier.close()
        yield Many(world, few, read_by(world))


@pytest.mark.parametrize("name", [*SENSORS, "run", "statistics", "health"])
def test_nothing_asks_more_statements_with_2500_batches_than_with_four(
    found: Many, name: str
) -> None:
    assert len(found.many[name].statements) == len(found.few[name].statements)


def test_an_idle_tick_reads_the_open_batches_and_none_that_is_done(found: Many) -> None:
    assert found.many["upload_sensor"].rows <= SLOTS + 20
    assert found.many["failure_sensor"].rows <= 20
    # Each of them once, and some that are not of batches.
    assert found.many["batch_sensor"].rows <= OPEN + 100 < min(2 * OPEN, BATCHES - OPEN)


def test_a_run_for_one_essay_reads_its_batch_alone(found: Many) -> None:
    # A few rows for each of its events and for the other essays of its batch.
    assert found.many["run"].rows <= 500


def test_the_partition_page_shows_every_cell(found: Many) -> None:
    (node,) = found.world.graphql(STATISTICS, assetKeys=[ASSET])["assetNodes"]
    assert node["partitionStats"] == {
        "numMaterialized": ESSAYS,
        "numMaterializing": 0,
        "numPartitions": BATCHES * SLOTS,
        "numFailed": 0,
    }
    node = found.world.graphql(HEALTH, assetKey=ASSET)["assetNodeOrError"]
    dimensions = {it["name"]: it["partitionKeys"] for it in node["partitionKeysByDimension"]}
    assert (len(dimensions["batch"]), len(dimensions["essay"])) == (BATCHES, SLOTS)
    assert shown(node["assetPartitionStatuses"], dimensions["batch"]) == {
        batch: [f"e{number:03}" for number in range(1, shape.essays + 1)]
        for shape in MIXED
        for batch in (shape.batch, *copies_of(shape.batch, COPIES))
    }


def shown(statuses: Mapping[str, Any], batches: list[str]) -> dict[str, list[str]]:
    """The slots of each batch that the page shows as materialized."""
    position = {batch: number for number, batch in enumerate(batches)}
    cells = {}
    for it in statuses["ranges"]:
        first, last = position[it["primaryDimStartKey"]], position[it["primaryDimEndKey"]]
        for batch in batches[first : last + 1]:
            cells[batch] = it["secondaryDim"]["materializedPartitions"]
    return cells


def test_a_new_class_is_taken_through_among_2500(found: Many) -> None:
    world = found.world
    take_through(world, Shape("late-0000", essays=3, expected=3))
    assert world.view("late-0000").ready == 3
    assert world.materialized("batch_release") >= {"late-0000", "class-a-0000", "class-a-0001"}


def plain(rows: Mapping[str, list[str]], batch: str) -> dict[str, list[str]]:
    """Rows without what identifies them and without times, sorted."""
    return {
        name: sorted(_VOLATILE.sub("#", line.replace(batch, "BATCH")) for line in lines)
        for name, lines in rows.items()
    }


def test_a_copy_of_a_batch_is_what_runs_would_have_written(tmp_path: Path) -> None:
    first, second = (Shape(f"{it}-0000", essays=3, expected=3) for it in ("one", "two"))
    with world_on_postgres(tmp_path / "home") as world:
        copier = Copier(world)
        take_through(world, first)
        counts = [copier.counts()]
        take_through(world, second)
        counts.append(copier.counts())
        copier.copy([first.batch], 1)
        counts.append(copier.counts())

        # Every tick of a sensor is noted too, and sums are of all batches together.
        names = counts[0].keys() - {"dagster job_ticks", "ledger metric_sums"}
        really = {name: counts[1][name] - counts[0][name] for name in names}
        assert {name: counts[2][name] - counts[1][name] for name in names} == really
        assert plain(copier.rows("one-0001"), "one-0001") == plain(
            copier.rows("two-0000"), "two-0000"
        )
        copier.close()
        copied, original = world.view("one-0001"), world.view("one-0000")
        assert copied.model_dump(exclude={"batch_id", "essays"}) == original.model_dump(
            exclude={"batch_id", "essays"}
        )
        answer = world.graphql(STALENESS, key=ASSET, partition="one-0001|e002")
        assert answer["assetNodeOrError"]["staleStatus"] == "FRESH"
