"""What Dagster's pages tell of a batch: numbers, outcomes by code, links, ticks, tags of runs."""

import uuid
from typing import Any
from urllib.parse import urlsplit

from dagster import (
    AssetCheckKey,
    AssetKey,
    AssetRecordsFilter,
    JsonMetadataValue,
    MetadataValue,
    TableMetadataValue,
    UrlMetadataValue,
)

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.pipeline.lifecycle import close
from tests.dagster.test_acceptance import BATCH_ASSETS, ESSAY_ASSETS, essays
from tests.support import world_defs
from tests.support.world import GOOD, World

INTAKE = "https://essays.school.example"
LINK = "intake_page"
WRONG = " teh" * 10


def told(world: World, asset: str, partition: str) -> dict[str, Any]:
    """The values in the metadata of the latest materialization."""
    metadata = metadata_of(world, asset, partition)
    return {name: it.value for name, it in metadata.items() if hasattr(it, "value")}


def metadata_of(world: World, asset: str, partition: str) -> dict[str, MetadataValue]:
    """The metadata of the latest materialization."""
    wanted = AssetRecordsFilter(asset_key=AssetKey(asset), asset_partitions=[partition])
    (record,) = world.instance.fetch_materializations(wanted, limit=1).records
    found = record.asset_materialization
    assert found is not None
    return dict(found.metadata)


def rows(value: MetadataValue) -> list[dict[str, Any]]:
    """The rows of a table."""
    assert isinstance(value, TableMetadataValue)
    names = [it.name for it in value.schema.columns]
    assert all(sorted(it.data) == sorted(names) for it in value.records)
    return [dict(it.data) for it in value.records]


def mixed_batch(world: World) -> None:
    """Three slots: one good essay with misspellings, two files that are rejected, one too many."""
    world.register("b1", expected=3)
    world.hand_in("b1", {"a.txt": (GOOD + WRONG).encode(), "b.txt": b"", "c.txt": b" "})
    world.clock.advance(60)
    world.hand_in("b1", {"d.txt": GOOD.encode()})
    world.clock.advance(30)
    world.settle()


def last_tick(world: World, sensor: str) -> Any:
    """The last tick of a sensor."""
    (state,) = [it for it in world.instance.all_instigator_state() if it.name == sensor]
    (tick,) = world.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    return tick


def test_manifest_and_report_count_the_files_by_outcome_and_code(world: World) -> None:
    mixed_batch(world)
    for asset in ("batch_manifest", "batch_report"):
        assert rows(metadata_of(world, asset, "b1")["outcomes"]) == [
            {"outcome": "rejected", "code": "EMPTY_CONTENT", "count": 2, "slots": "e002, e003"},
            {"outcome": "accepted", "code": "", "count": 1, "slots": "e001"},
            {"outcome": "excess", "code": "BATCH_FULL", "count": 1, "slots": ""},
        ]


def test_what_is_counted_of_a_batch_are_numbers_that_dagster_plots(world: World) -> None:
    mixed_batch(world)
    for asset in ("batch_manifest", "batch_report"):
        found = told(world, asset, "b1")
        counts = {name: it for name, it in found.items() if type(it) in {int, float}}
        assert (
            counts.items()
            >= {
                "received": 3,
                "accepted": 1,
                "rejected": 2,
                "excess": 1,
                "missing": 0,
                "words": 26,
                "misspellings": 10,
                "misspellings_per_100_words": 38.5,
            }.items()
        ), asset
    assert told(world, "batch_manifest", "b1")["dagster/partition_row_count"] == 3


def test_a_class_of_which_nothing_could_be_read_has_no_rate(world: World) -> None:
    world.register("b1", expected=1)
    world.hand_in("b1", {"a.txt": b""})
    world.settle()
    found = told(world, "batch_report", "b1")
    assert (found["words"], found["misspellings"]) == (0, 0)
    assert "misspellings_per_100_words" not in found


def test_a_release_tells_how_long_it_took_and_the_next_revision_anew(world: World) -> None:
    world.register("b1", expected=2)
    world.clock.advance(100)
    world.hand_in("b1", {"a.txt": GOOD.encode(), "b.txt": GOOD.encode()})
    world.clock.advance(20)
    world.settle()
    first = told(world, "batch_release", "b1")
    assert (first["revision"], first["seconds_from_registration"]) == (1, 120.0)
    assert first["seconds_from_last_upload"] == 20.0

    world.clock.advance(1000)
    world.hand_in("b1", {"a.txt": (GOOD + WRONG).encode()})
    world.clock.advance(5)
    world.settle()
    second = told(world, "batch_release", "b1")
    assert (second["revision"], second["seconds_from_registration"]) == (2, 1125.0)
    assert second["seconds_from_last_upload"] == 5.0


def test_a_release_that_is_shown_again_tells_the_same(world: World) -> None:
    world.register("b1", expected=2)
    world.hand_in("b1", essays(2))
    world.settle()
    before = told(world, "batch_release", "b1")

    world.clock.advance(500)
    repository = world_defs.defs().get_repository_def()
    again = repository.get_job("finalise_batch").execute_in_process(
        instance=world.instance, tags={"dagster/partition": "b1"}
    )

    assert again.success
    assert world.materialization_count("batch_release", "b1") == 2
    assert told(world, "batch_release", "b1") == before


def test_batches_and_essays_link_to_their_pages_of_the_intake(world: World) -> None:
    world.setting("INTAKE_URL", f"{INTAKE}/")
    world.reload()
    world.register("b1", expected=1)
    world.hand_in("b1", essays(1))
    world.settle()

    for asset in BATCH_ASSETS:
        page = metadata_of(world, asset, "b1")[LINK]
        assert page == MetadataValue.url(f"{INTAKE}/batches/b1"), asset
    page = metadata_of(world, Stage.SPELLCHECK_RESULT, "b1|e001")[LINK]
    assert page == MetadataValue.url(f"{INTAKE}/batches/b1/essays/e001")
    # An essay has one link: its other events are written a thousand times for nobody to follow.
    for asset in ESSAY_ASSETS[:-1]:
        assert LINK not in metadata_of(world, asset, "b1|e001"), asset
    graph = world_defs.defs().get_repository_def().asset_graph
    for key in graph.get_all_asset_keys():
        assert graph.get(key).metadata[LINK] == MetadataValue.url(f"{INTAKE}/"), key


def test_without_an_address_there_are_no_links(world: World) -> None:
    world.register("b1", expected=1)
    world.hand_in("b1", essays(1))
    world.settle()
    for asset, partition in (("batch_report", "b1"), (Stage.SPELLCHECK_RESULT, "b1|e001")):
        assert LINK not in metadata_of(world, asset, partition)
    graph = world_defs.defs().get_repository_def().asset_graph
    assert not [key for key in graph.get_all_asset_keys() if LINK in graph.get(key).metadata]


def test_a_check_that_fails_links_to_what_is_wrong(world: World) -> None:
    world.setting("INTAKE_URL", INTAKE)
    world.reload()
    world.register("b1", expected=2)
    world.hand_in("b1", essays(1))
    close(world.ledger, "b1", ClosedBy.REQUEST)
    world.settle()
    (raw,) = [it for it in world.blob_keys() if it.startswith("raw_upload_blob/")]
    path = world.settings.blob_folder / raw
    path.chmod(0o600)
    path.write_bytes(b"damaged")
    world.execute("check_essays", first="b1|e001", last="b1|e001")

    pages = {
        "batch_is_complete": ("batch_manifest", "/batches/b1"),
        "raw_blob_is_intact": ("raw_upload", "/batches/b1/essays/e001"),
    }
    for check, (asset, page) in pages.items():
        key = AssetCheckKey(AssetKey(asset), check)
        (record,) = world.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        assert record.event is not None
        event = record.event.dagster_event
        assert event is not None
        evaluation = event.asset_check_evaluation_data
        assert not evaluation.passed
        link = evaluation.metadata[LINK]
        assert isinstance(link, UrlMetadataValue)
        assert urlsplit(str(link.value)).path == page


def test_no_name_of_a_file_or_a_class_is_in_the_metadata(world: World) -> None:
    world.setting("INTAKE_URL", INTAKE)
    world.reload()
    world.register("b1", expected=1, class_name="Class of Canary", course="Canary")
    world.hand_in("b1", {"canary-lindqvist.txt": GOOD.encode(), "canary-too-many.txt": b"more"})
    world.settle()
    for asset in BATCH_ASSETS:
        assert "anary" not in repr(metadata_of(world, asset, "b1")), asset
    for asset in ESSAY_ASSETS:
        found = metadata_of(world, asset, "b1|e001")
        assert "anary" not in repr(found), asset
        assert not any(isinstance(it, JsonMetadataValue) for it in found.values())


def test_a_tick_that_asks_for_nothing_says_why(world: World) -> None:
    world.register("b1", expected=3)
    world.hand_in("b1", essays(2))
    world.settle()

    assert last_tick(world, "upload_sensor").skip_reason == (
        "No essay is due; 0 are in runs that wait or are under way. "
        "Files of the inbox that still change: 0."
    )
    assert last_tick(world, "batch_sensor").skip_reason == (
        "No batch waits for its closing work; runs of it that wait or are under way: 0."
    )
    assert last_tick(world, "failure_sensor").skip_reason == (
        "Runs that ended badly lately: 0, of which died and count as attempts now: 0, "
        "and never began: 0."
    )


def test_an_operator_finds_the_runs_of_a_batch_and_of_a_request_by_their_tags(
    world: World,
) -> None:
    asked = "5f0c3b1e-8f1b-4f63-9c0e-2f9b6f6f7f11"
    world.register("b1", expected=2, correlation_id=asked)
    with world.intake.submission("b1", correlation_id=asked) as submission:
        for path, data in essays(2).items():
            submission.receive(path, data)
    world.settle()

    assert {it.job_name for it in world.runs(**{"huleedu/correlation_id": asked})} == {
        "process_essays",
        "finalise_batch",
    }
    by_scope = {it.job_name: it.tags["huleedu/scope"] for it in world.runs()}
    assert by_scope == {"process_essays": "essay", "finalise_batch": "batch"}


def test_a_run_over_several_requests_bears_the_id_of_none(world: World) -> None:
    world.register("b1", expected=2)
    for path, data in essays(2).items():
        with world.intake.submission("b1", correlation_id=str(uuid.uuid4())) as submission:
            submission.receive(path, data)
    world.settle()
    (run,) = world.runs("process_essays")
    assert "huleedu/correlation_id" not in run.tags
