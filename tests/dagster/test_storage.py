"""Our storages of Dagster's events: they tell what stock tells, and nothing is done early."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
import sqlalchemy as sa
from dagster import AssetKey, DagsterEventType, DagsterInstance, DagsterRunStatus
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from huleedu_dagster.dagster_storage.batching import store_collected
from huleedu_dagster.dagster_storage.sqlite import PooledSqliteEventLogStorage
from huleedu_dagster.ledger.records import Essay
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.pipeline.essays import EssayPipeline, EssayResult
from huleedu_dagster.settings import Settings
from tests.support.postgres import postgres_database
from tests.support.storages import (
    DATABASES,
    STAGES,
    another,
    cell,
    event,
    instance_on,
    make_history,
    prepare,
    run_essays,
    run_id,
    where,
)
from tests.support.told import rows, told
from tests.support.waiting import wait_for
from tests.support.world import GOOD, World

pytestmark = pytest.mark.slow

_APPEARS_SECONDS = 2.0
_RUN = run_id(1)
_ALLOW = "DROP CONSTRAINT full_disk"
_REFUSE = "BEGIN SELECT RAISE(ABORT, 'full disk'); END"


@pytest.fixture(params=DATABASES)
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of database."""
    return str(request.param)


@pytest.fixture
def instance(kind: str, tmp_path: Path) -> Iterator[DagsterInstance]:
    """An instance on our storage, with partitions."""
    with instance_on(kind, "ours", tmp_path) as found:
        prepare(found)
        yield found


def storage_of(instance: DagsterInstance) -> SqlEventLogStorage:
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    return storage


@contextmanager
def tags_cannot_be_written(instance: DagsterInstance, like: str = "%") -> Iterator[None]:
    """A database that refuses rows of one of the tables."""
    storage = storage_of(instance)
    with storage.index_connection() as connection:
        if connection.dialect.name == "postgresql":
            refuse = f"ADD CONSTRAINT full_disk CHECK (value NOT LIKE '{like}') NOT VALID"
            refuse, allow = (f"ALTER TABLE asset_event_tags {it}" for it in (refuse, _ALLOW))
        else:
            refuse = f"BEFORE INSERT ON asset_event_tags WHEN NEW.value LIKE '{like}' {_REFUSE}"
            refuse, allow = (f"CREATE TRIGGER full_disk {refuse}", "DROP TRIGGER full_disk")
        connection.execute(sa.text(refuse))
    yield
    with storage.index_connection() as connection:
        connection.execute(sa.text(allow))


def events_of(instance: DagsterInstance, run: str) -> list[str]:
    found = instance.event_log_storage.get_records_for_run(run).records
    types = [it.event_log_entry.dagster_event_type for it in found]
    return [it.value for it in types if it is not None]


def test_a_history_tells_the_same_on_ours_as_on_stock(kind: str, tmp_path: Path) -> None:
    with instance_on(kind, "stock", tmp_path) as stock:
        make_history(stock)
        expected = (told(stock), rows(stock))
    with instance_on(kind, "ours", tmp_path) as ours:
        make_history(ours)
        found = (told(ours), rows(ours))
        with another(kind, "stock", ours) as back:
            assert told(back) == found[0], "going back to the stock classes"
    for it, there in zip(found, expected, strict=True):
        assert it.keys() == there.keys()
        for name, value in there.items():
            assert it[name] == value, name
    assert len(expected[1]["event_logs of index"]) > 50


def test_events_that_dagster_batches_are_stored_as_those_it_does_not(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for size in ("0", "1000"):
        monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", size)
        folder = tmp_path / size
        folder.mkdir()
        with instance_on(kind, "ours", folder) as instance:
            make_history(instance)
            found[size] = (told(instance), rows(instance))
    assert found["1000"] == found["0"]


def test_the_row_of_every_asset_is_right_after_a_batch_that_mixes_them(
    kind: str, instance: DagsterInstance
) -> None:
    order = [("spelling", "e001"), ("raw", "e001"), ("text", "e002"), ("raw", "e002")]
    for stage, slot in order:
        instance.store_event(event(stage, slot, _RUN))
    latest = {"raw": "e002", "text": "e002", "spelling": "e001"}
    for stage, slot in latest.items():
        (record,) = instance.get_asset_records([AssetKey(stage)])
        shown = record.asset_entry.last_materialization
        assert shown is not None
        assert shown.asset_materialization is not None
        assert shown.asset_materialization.partition == cell(slot)
        pointers = instance.get_latest_storage_id_by_partition(
            AssetKey(stage), DagsterEventType.ASSET_MATERIALIZATION
        )
        assert record.asset_entry.last_materialization_storage_id == max(pointers.values())


def test_others_see_an_event_within_two_seconds_if_nothing_follows_it(
    kind: str, instance: DagsterInstance
) -> None:
    with another(kind, "ours", instance) as other:
        instance.store_event(event("raw", "e001", _RUN))
        wait_for(lambda: bool(pointers(other)), _APPEARS_SECONDS)


@pytest.mark.parametrize("like", ["%", "%-last"])
def test_a_run_whose_events_cannot_be_stored_is_not_reported_done(
    like: str, kind: str, instance: DagsterInstance
) -> None:
    with tags_cannot_be_written(instance, like):
        assert not run_essays(instance, _RUN, "2")
    found = [it for it in events_of(instance, _RUN) if it.startswith(("STEP_", "PIPELINE_"))]
    assert found == ["PIPELINE_START", "STEP_START", "STEP_FAILURE", "PIPELINE_FAILURE"]
    run = instance.get_run_by_id(_RUN)
    assert run is not None
    assert run.status is DagsterRunStatus.FAILURE
    seen = instance.get_materialized_partitions(AssetKey("raw"))
    assert len(seen) == (0 if like == "%" else 4)

    assert run_essays(instance, run_id(2), "2")
    assert len(instance.get_materialized_partitions(AssetKey("raw"))) == 4


def test_a_program_that_ends_without_closing_anything_leaves_no_event_behind(
    instance: DagsterInstance, kind: str
) -> None:
    program = [sys.executable, "-m", "tests.support.storages", kind, json.dumps(where(instance))]
    subprocess.run(program, check=True, timeout=60)
    assert list(pointers(instance)) == [cell("e001")]


def test_ids_become_visible_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader goes on after the greatest id it saw, and would pass a lesser one by."""
    with (
        instance_on("postgres", "ours", tmp_path) as first,
        another("postgres", "ours", first) as second,
        another("postgres", "stock", first) as reader,
    ):
        inserted, go_on = threading.Event(), threading.Event()
        slow: Any = storage_of(first)
        write = slow._write_index

        def late(*arguments: Any) -> None:
            inserted.set()
            assert go_on.wait(60)
            write(*arguments)

        monkeypatch.setattr(slow, "_write_index", late)
        with ThreadPoolExecutor(2) as threads:
            one = threads.submit(store, first, "e001")
            assert inserted.wait(60)
            two = threads.submit(store, second, "e002")
            try:
                wait_for_a_lock(reader)
                assert not pointers(reader)
            finally:
                go_on.set()
            one.result(60)
            two.result(60)
        found = pointers(reader)
        assert found[cell("e001")] < found[cell("e002")]


def test_processes_that_write_the_same_assets_do_not_block_each_other(
    kind: str, instance: DagsterInstance
) -> None:
    with another(kind, "ours", instance) as other, ThreadPoolExecutor(2) as threads:

        def write(to: DagsterInstance, stages: Sequence[str], run: str) -> None:
            for _ in range(10):
                for stage in stages:
                    to.store_event(event(stage, "e001", run))
                store_collected(to, run)

        done = [
            threads.submit(write, instance, STAGES, _RUN),
            threads.submit(write, other, STAGES[::-1], run_id(2)),
        ]
        for it in done:
            it.result(60)
    found = [len(events_of(instance, it)) for it in (_RUN, run_id(2))]
    assert found == [10 * len(STAGES), 10 * len(STAGES)]


def test_instances_of_one_process_make_the_databases_of_runs_at_the_same_time(
    tmp_path: Path,
) -> None:
    storages = [PooledSqliteEventLogStorage(str(tmp_path)) for _ in range(4)]
    runs = [run_id(number) for number in range(1, 6)]
    begin = threading.Barrier(len(storages))

    def write(storage: PooledSqliteEventLogStorage) -> None:
        begin.wait(60)
        for run in runs:
            storage.store_event(event("raw", "e001", run))
            storage.collector.settle(run)

    with ThreadPoolExecutor(len(storages)) as threads:
        for it in [threads.submit(write, storage) for storage in storages]:
            it.result(60)
    assert [len(storages[0].get_records_for_run(it).records) for it in runs] == [4] * len(runs)
    for storage in storages:
        storage.dispose()


def test_a_process_has_a_bounded_number_of_connections(tmp_path: Path) -> None:
    with instance_on("postgres", "stock", tmp_path) as watching:
        with another("postgres", "ours", watching) as ours:
            prepare(ours)
            assert run_essays(ours, _RUN, "2")
            # The server hears of closed ones a moment later.
            wait_for(lambda: connections(watching) <= 2, 60)
            ours.optimize_for_webserver(5_000, 3_600, 5)
            wait_for(lambda: connections(watching) == 0, 60)
            assert len(pointers(ours)) == 4
            wait_for(lambda: connections(watching) == 1, 60)
        wait_for(lambda: connections(watching) == 0, 60)


def test_events_that_were_lost_are_emitted_again_without_computing(world: World) -> None:
    world.register("b1", expected=2)
    world.hand_in("b1", {f"{it}/essay.txt": f"{GOOD} {it}".encode() for it in ("one", "two")})
    storage = storage_of(world.instance)
    refuse = "WHEN NEW.asset_key LIKE '%spellcheck%' AND NEW.dagster_event_type LIKE '%ATION'"
    with storage.index_connection() as connection:
        connection.exec_driver_sql(
            f"CREATE TRIGGER full_disk BEFORE INSERT ON event_logs {refuse} {_REFUSE}"
        )
    world.tick()
    assert not world.materialized("spellcheck_result")
    computed = world.rows()["stage_outcomes"]
    assert computed == 8

    with storage.index_connection() as connection:
        connection.exec_driver_sql("DROP TRIGGER full_disk")
    world.settle()
    assert world.materialized("spellcheck_result") == {"b1|e001", "b1|e002"}
    assert world.rows()["stage_outcomes"] == computed
    assert world.view("b1").ready == 2


def test_essays_of_a_slow_batch_appear_within_two_seconds_of_being_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, process, mark = threading.Event(), EssayPipeline.process, EssayPipeline.mark_shown
    seen, finished = [], []

    def slow(self: EssayPipeline, settings: Any, essay: Essay, *more: Any, **options: Any) -> Any:
        assert essay.slot != "e002" or go_on.wait(60)
        result = process(self, settings, essay, *more, **options)
        finished.append(essay.slot)
        return result

    def seen_by_others(
        self: EssayPipeline, batch: str, told: list[EssayResult], *more: Any
    ) -> None:
        cells = {f"{batch}|{it.slot}" for it in told}
        seen.append(cells <= page.get_materialized_partitions(spelled))
        mark(self, batch, told, *more)

    monkeypatch.setattr(EssayPipeline, "process", slow)
    monkeypatch.setattr(EssayPipeline, "mark_shown", seen_by_others)
    world.register("b1", expected=3)
    world.hand_in("b1", {f"{it}/essay.txt": f"{GOOD} {it}".encode() for it in "abc"})
    spelled = AssetKey("spellcheck_result")
    with DagsterHome(world.settings).instance() as page, ThreadPoolExecutor(1) as threads:
        run = threads.submit(world.tick)
        try:
            wait_for(lambda: len(finished) == 2, 60)
            wait_for(lambda: bool(page.get_materialized_partitions(spelled)), _APPEARS_SECONDS)
            shown = page.get_materialized_partitions(spelled)
        finally:
            go_on.set()
        run.result(60)
    assert shown == {"b1|e001", "b1|e003"}
    assert seen == [True, True], "the ledger was told of events that nobody could see"
    assert world.materialized("spellcheck_result") == {"b1|e001", "b1|e002", "b1|e003"}


@pytest.mark.parametrize(
    ("storage", "name"),
    [("batched", "PooledSqliteEventLogStorage"), ("stock", "SqliteEventLogStorage")],
)
def test_one_setting_goes_back_to_the_stock_classes(
    storage: Literal["batched", "stock"], name: str, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, dagster_storage=storage)
    with DagsterHome(settings).instance() as instance:
        assert type(instance.event_log_storage).__name__ == name


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    ("storage", "name"),
    [("batched", "PooledPostgresEventLogStorage"), ("stock", "PostgresEventLogStorage")],
)
def test_the_password_of_the_database_is_not_written_down_if_the_environment_has_it(
    storage: Literal["batched", "stock"],
    name: str,
    named: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with postgres_database(migrated=False) as url:
        if named:
            monkeypatch.setenv("HULEEDU_DAGSTER_DATABASE_URL", url)
        settings = Settings(home=tmp_path, dagster_storage=storage, dagster_database_url=url)
        with DagsterHome(settings).instance() as instance:
            assert type(instance.event_log_storage).__name__ == name
    written = settings.dagster_folder / "dagster.yaml"
    assert (url in written.read_text()) is not named
    assert written.stat().st_mode & 0o077 == 0


def store(instance: DagsterInstance, slot: str) -> None:
    instance.store_event(event("raw", slot, _RUN))
    store_collected(instance, _RUN)


def pointers(instance: DagsterInstance) -> Mapping[str, int]:
    return instance.get_latest_storage_id_by_partition(
        AssetKey("raw"), DagsterEventType.ASSET_MATERIALIZATION
    )


def wait_for_a_lock(instance: DagsterInstance) -> None:
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    wait_for(lambda: asked(instance, query) > 0, 60)


def connections(instance: DagsterInstance) -> int:
    """Connections to the database of others than the one that asks, which pools nothing."""
    ours = "datname = current_database() AND pid <> pg_backend_pid()"
    return asked(instance, f"SELECT count(*) FROM pg_stat_activity WHERE {ours}")


def asked(instance: DagsterInstance, query: str) -> int:
    with storage_of(instance).index_connection() as connection:
        return int(connection.exec_driver_sql(query).scalar_one())
