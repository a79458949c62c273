"""The inbox bucket through the real sensors, beside the folder and in its absence."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from dagster import DagsterInstance, build_sensor_context
from dagster._core.scheduler.instigation import TickStatus

from huleedu_dagster.domain.completeness import BatchStatus, ClosedBy
from huleedu_dagster.domain.outcomes import EssayOutcome
from huleedu_dagster.orchestration.in_process import TickFailedError
from huleedu_dagster.pipeline.inbox_bucket import CLOSED_LOOKS
from huleedu_dagster.pipeline.lifecycle import close
from huleedu_dagster.storage.s3 import S3Options
from tests.support import world_defs
from tests.support.between import Between, cut_off, dropped
from tests.support.dropping import drop, drop_all, inbox_bucket, names_in
from tests.support.seaweed import through
from tests.support.world import GOOD, World

SENSOR = "inbox_bucket_sensor"


@pytest.fixture
def options(tmp_path: Path) -> Iterator[S3Options]:
    with inbox_bucket(tmp_path) as found:
        yield found


@pytest.fixture
def use(world: World) -> Callable[[S3Options], None]:
    """Makes a bucket the inbox of the world."""

    def use_bucket(options: S3Options) -> None:
        for name, value in {
            "S3_ENDPOINT": options.endpoint,
            "S3_BUCKET": "blobs-of-nobody",
            "S3_ACCESS_KEY": options.access_key,
            "S3_SECRET_KEY": options.secret_key,
            "S3_SECURE": "false",
            "INBOX_BUCKET": options.bucket,
        }.items():
            world.setting(name, value)
        world.reload()

    return use_bucket


def last_tick(instance: DagsterInstance, sensor: str = SENSOR) -> tuple[TickStatus, str]:
    """How the last tick of a sensor ended, and what Dagster's pages say of it."""
    (state,) = [it for it in instance.all_instigator_state() if it.name == sensor]
    (tick,) = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    return tick.status, "" if tick.error is None else tick.error.to_string()


def evaluate(world: World, cursor: str | None) -> str | None:
    """Tick the sensor alone; gives its cursor."""
    sensor = world_defs.defs().get_repository_def().get_sensor_def(SENSOR)
    with build_sensor_context(
        instance=world.instance,
        instance_ref=world.instance.get_ref(),
        cursor=cursor,
        sensor_name=SENSOR,
        resources=world_defs.resources(),
    ) as context:
        return sensor.evaluate_tick(context).cursor


def test_there_is_no_such_sensor_without_a_bucket(world: World) -> None:
    names = {it.name for it in world_defs.defs().get_repository_def().sensor_defs}
    assert SENSOR not in names


def test_a_batch_in_the_bucket_goes_all_the_way(
    world: World, options: S3Options, use: Callable[[S3Options], None]
) -> None:
    use(options)
    names = ["class-7b/Leo/essay.txt", "class-7b/Ida/essay.txt"]
    drop_all(options, names)
    world.tick(times=2)
    view = world.view("class-7b")
    assert (view.status, view.received, view.ready) == (BatchStatus.RECEIVING, 2, 2)
    assert last_tick(world.instance)[0] is TickStatus.SKIPPED

    world.clock.advance(world.settings.inbox_quiet_seconds + 1)
    world.settle()
    assert world.view("class-7b").status is BatchStatus.READY
    assert names_in(options) == sorted(names)

    runs, rows = len(world.runs()), world.rows()
    world.tick(times=2)
    assert (len(world.runs()), world.rows()) == (runs, rows), "nothing is new"


def test_a_changed_object_is_a_new_version_of_the_same_essay(
    world: World, options: S3Options, use: Callable[[S3Options], None]
) -> None:
    use(options)
    drop(options, "class-7b/a.txt", GOOD.encode())
    world.tick(times=2)
    drop(options, "class-7b/a.txt", f"{GOOD} They went again on Monday.".encode())
    world.tick(times=2)
    (essay,) = world.view("class-7b").essays
    assert essay.outcome is EssayOutcome.ACCEPTED
    with world.ledger.read() as tx:
        found = tx.essays.in_slot("class-7b", "e001")
    assert found is not None
    assert found.upload.version == 2


def test_a_wrong_key_fails_the_ticks_of_the_bucket_and_the_folder_goes_on(
    world: World, options: S3Options, use: Callable[[S3Options], None]
) -> None:
    use(replace(options, secret_key="not-the-secret"))
    folder = world.settings.inbox_folder / "class-9c"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text(GOOD)
    for _ in range(2):
        with pytest.raises(TickFailedError, match="StoreUnusableError"):
            world.tick()
    status, error = last_tick(world.instance)
    assert status is TickStatus.FAILURE
    assert "the S3 server refuses the key (SignatureDoesNotMatch); see HULEEDU_S3" in error
    assert "not-the-secret" not in error
    assert world.view("class-9c").ready == 1


def test_while_the_server_is_away_ticks_fail_and_afterwards_nothing_is_missing(
    world: World, options: S3Options, use: Callable[[S3Options], None]
) -> None:
    drop(options, "class-7b/a.txt", GOOD.encode())
    drop(options, "class-7b/.complete", b"")
    port = int(options.endpoint.partition(":")[2])
    with Between(port, faults=[dropped] * 2) as between:
        use(through(options, between.port))
        with pytest.raises(TickFailedError):
            world.tick()
        assert "the S3 server cannot be reached" in last_tick(world.instance)[1]
        world.settle()
    assert world.view("class-7b").status is BatchStatus.READY


def test_no_name_of_a_file_is_stored_by_dagster(
    world: World,
    options: S3Options,
    use: Callable[[S3Options], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    canary = "Quetzalcoatlus"
    drop(options, f"class-7b/{canary}-Smith.txt", GOOD.encode() * 40)
    drop(options, f"class-7b/{canary}.zip", b"no archive")
    drop(options, f"{canary}/a.txt", GOOD.encode())
    drop(options, f"class-7b/{canary}\n.txt", GOOD.encode())
    port = int(options.endpoint.partition(":")[2])
    # The listings come through, and then nobody answers.
    with Between(port, [cut_off(2_600)], always=dropped) as between:
        use(through(options, between.port))
        with pytest.raises(TickFailedError):
            world.tick()
    assert "the S3 server cannot be reached" in last_tick(world.instance)[1]
    assert "in _fetch" in caplog.text, "where an object was asked for"
    use(options)
    world.tick(times=2)
    assert world.view("class-7b").received == 2

    files = [it for it in world.settings.dagster_folder.rglob("*") if it.is_file()]
    held = [it.name for it in files if canary.lower().encode() in it.read_bytes().lower()]
    assert held == []


def test_the_cursor_says_whose_turn_it_is_of_the_closed_batches(
    world: World, options: S3Options, use: Callable[[S3Options], None]
) -> None:
    use(options)
    closed = [f"class-{number:02}" for number in range(CLOSED_LOOKS + 2)]
    for batch_id in closed:
        world.register(batch_id)
        close(world.ledger, batch_id, ClosedBy.REQUEST)
    drop_all(options, [f"{it}/late.txt" for it in closed])
    received, cursor = [], None
    for _ in range(2):
        cursor = evaluate(world, cursor)
        received.append(world.rows()["uploads"])
    assert received == [CLOSED_LOOKS, CLOSED_LOOKS + 2]
    assert cursor in closed
