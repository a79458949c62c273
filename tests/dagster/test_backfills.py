"""Re-materializing through Dagster: backfills, force, cells that are no essays, checks."""

from typing import Any

from dagster import AssetKey, AssetRecordsFilter, RunsFilter
from dagster._core.execution.backfill import BulkActionStatus

from huleedu_dagster.domain.completeness import BatchStatus
from tests.dagster.test_acceptance import BATCH_ASSETS, ESSAY_ASSETS, check_of, essays
from tests.support.world import World

LAUNCH = """
mutation($p: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $p) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""


def backfill(world: World, assets: list[str], cells: list[str]) -> str:
    """Launch a backfill as the UI does and see it through; returns its id."""
    answer = world.graphql(
        LAUNCH,
        p={"assetSelection": [{"path": [it]} for it in assets], "partitionNames": cells},
    )["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    world.daemon.run_backfills()
    return str(answer["backfillId"])


def runs_of(world: World, backfill_id: str) -> list[Any]:
    """The runs of a backfill."""
    found = world.instance.get_runs(RunsFilter(tags={"dagster/backfill": backfill_id}))
    return list(found)


def status_of(world: World, backfill_id: str) -> BulkActionStatus:
    """How a backfill ended."""
    found = world.instance.get_backfill(backfill_id)
    assert found is not None
    return found.status


def ready_batch(world: World, name: str = "b1", count: int = 3) -> None:
    """A ready batch."""
    world.register(name, expected=count)
    world.hand_in(name, essays(count))
    world.settle()
    assert world.view(name).status is BatchStatus.READY


def latest_metadata(world: World, asset: str, cell: str) -> dict[str, Any]:
    """Metadata of the latest materialization of a cell."""
    found = world.instance.fetch_materializations(
        AssetRecordsFilter(asset_key=AssetKey(asset), asset_partitions=[cell]), limit=1
    )
    materialization = found.records[0].asset_materialization
    assert materialization is not None
    return {name: it.value for name, it in materialization.metadata.items()}


def test_a_backfill_of_a_batch_is_one_run_that_writes_nothing(world: World) -> None:
    ready_batch(world)
    rows, blobs = world.rows(), world.blob_keys()
    cells = [f"b1|e00{number}" for number in (1, 2, 3)]

    found = backfill(world, ESSAY_ASSETS, cells)

    assert status_of(world, found) is BulkActionStatus.COMPLETED_SUCCESS
    assert len(runs_of(world, found)) == 1
    assert (world.rows(), world.blob_keys()) == (rows, blobs)
    assert world.materialization_count("spellcheck_result", "b1|e001") == 2
    assert latest_metadata(world, "spellcheck_result", "b1|e001")["computed"] is False
    for cell in cells:
        assert check_of(world, "raw_upload", "raw_blob_is_intact", cell) == ["SUCCEEDED"]
        reproducible = check_of(world, "extracted_plaintext", "extraction_is_reproducible", cell)
        assert reproducible == ["SUCCEEDED"]


def test_one_essay_with_everything_downstream_is_that_essay_and_its_batch(world: World) -> None:
    ready_batch(world, "b1")
    ready_batch(world, "b2")
    counts = {
        (asset, cell): world.materialization_count(asset, cell)
        for asset in ESSAY_ASSETS
        for cell in world.materialized(asset)
    }

    found = backfill(world, [*ESSAY_ASSETS, *BATCH_ASSETS], ["b1|e002"])

    assert status_of(world, found) is BulkActionStatus.COMPLETED_SUCCESS
    assert len(runs_of(world, found)) == 2
    for (asset, cell), before in counts.items():
        expected = before + (cell == "b1|e002")
        assert world.materialization_count(asset, cell) == expected, (asset, cell)
    for asset in BATCH_ASSETS:
        assert world.materialization_count(asset, "b1") == 2
        assert world.materialization_count(asset, "b2") == 1
    assert len(world.events("batch.essays.ready")) == 2


def test_a_cell_that_is_no_registered_essay_ends_a_backfill_well(world: World) -> None:
    ready_batch(world, "b1", 3)
    ready_batch(world, "b2", 1)
    rows = world.rows()

    found = backfill(world, ESSAY_ASSETS, ["b2|e001", "b2|e002", "b2|e003"])

    assert status_of(world, found) is BulkActionStatus.COMPLETED_SUCCESS
    assert latest_metadata(world, "raw_upload", "b2|e003") == {"outcome": "no essay"}
    assert world.rows() == rows


def test_forced_recomputation_gives_identical_bytes_and_writes_nothing(world: World) -> None:
    ready_batch(world)
    rows, blobs = world.rows(), world.blob_keys()

    result = world.execute(
        "process_essays",
        first="b1|e001",
        last="b1|e003",
        config={"ops": {"essays": {"config": {"force": True}}}},
    )

    assert result.success
    assert latest_metadata(world, "extracted_plaintext", "b1|e003")["computed"] is True
    assert (world.rows(), world.blob_keys()) == (rows, blobs)


def test_damaged_raw_bytes_fail_their_check_and_nothing_else(world: World) -> None:
    ready_batch(world)
    with world.ledger.read() as tx:
        essay = tx.essays.in_slot("b1", "e002")
    assert essay is not None
    path = world.settings.blob_folder / essay.upload.blob_key
    path.write_bytes(b"damaged")

    result = world.execute("check_essays", first="b1|e001", last="b1|e003")

    assert result.success
    found = [
        check_of(world, "raw_upload", "raw_blob_is_intact", f"b1|e00{number}")
        for number in (1, 2, 3)
    ]
    assert found == [["SUCCEEDED"], ["FAILED"], ["SUCCEEDED"]]
    assert world.materialization_count("raw_upload", "b1|e001") == 1


def test_extracting_a_raw_upload_again_gives_identical_text_and_data_version(
    world: World,
) -> None:
    ready_batch(world, count=1)
    before = latest_metadata(world, "extracted_plaintext", "b1|e001")

    backfill(world, ["raw_upload", "extracted_plaintext"], ["b1|e001"])
    after = latest_metadata(world, "extracted_plaintext", "b1|e001")

    for name in ("data_version", "blob", "characters", "materialization_key"):
        assert after[name] == before[name]


def test_no_text_file_name_or_settings_word_reaches_dagster(world: World) -> None:
    canary = "Quetzalcoatlus"
    world.register("b1", expected=2)
    world.hand_in(
        "b1",
        {
            f"{canary}-a/{canary}.txt": f"{canary} flew over the whole town on Monday.".encode(),
            f"{canary}-b/{canary}.docx": f"{canary} is not a docx".encode(),
        },
    )
    world.settle()
    assert world.view("b1").status is BatchStatus.READY

    folder = world.settings.dagster_folder
    files = [it for it in folder.rglob("*") if it.is_file()]
    assert len(files) > 5
    for path in files:
        assert canary.lower().encode() not in path.read_bytes().lower(), path.name
