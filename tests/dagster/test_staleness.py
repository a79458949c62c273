"""What Dagster calls stale: exactly the essays and stages that a change touches."""

from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.pipeline.lifecycle import change_settings
from tests.dagster.test_acceptance import BATCH_ASSETS, ESSAY_ASSETS
from tests.dagster.test_backfills import backfill, ready_batch
from tests.support.world import GOOD, World

STALENESS = """
query($k: AssetKeyInput!, $p: String) {
  assetNodeOrError(assetKey: $k) {
    ... on AssetNode { staleStatus(partition: $p) staleCauses(partition: $p) { reason } }
  }
}
"""


def staleness(world: World, cell: str) -> dict[str, str]:
    """Stale status of every essay asset of a cell."""
    return {asset: status(world, asset, cell) for asset in ESSAY_ASSETS}


def status(world: World, asset: str, partition: str) -> str:
    """Stale status of one partition of an asset."""
    answer = world.graphql(STALENESS, k={"path": [asset]}, p=partition)
    return str(answer["assetNodeOrError"]["staleStatus"])


def test_everything_is_fresh_after_a_batch_is_done(world: World) -> None:
    ready_batch(world)
    world.settle()

    for number in (1, 2, 3):
        assert set(staleness(world, f"b1|e00{number}").values()) == {"FRESH"}
    for asset in ["batch_registration", *BATCH_ASSETS]:
        assert status(world, asset, "b1") == "FRESH"


def test_a_new_spelling_code_version_makes_only_spelling_stale(world: World) -> None:
    ready_batch(world)
    done = world.rows()
    world.setting("SPELLING_REVISION", "2")
    world.reload()

    assert staleness(world, "b1|e002") == {
        "raw_upload": "FRESH",
        "extracted_plaintext": "FRESH",
        "validation_result": "FRESH",
        "spellcheck_result": "STALE",
    }
    runs = world.daemon.run_count()
    world.settle()
    assert world.daemon.run_count() == runs, "a new code version never starts work by itself"

    before = {asset: world.materialization_count(asset) for asset in ESSAY_ASSETS}
    reads = world.blobs.reads["raw_upload_blob"]
    backfill(world, ["spellcheck_result"], [f"b1|e00{number}" for number in (1, 2, 3)])

    after = {asset: world.materialization_count(asset) for asset in ESSAY_ASSETS}
    assert after == {**before, "spellcheck_result": before["spellcheck_result"] + 3}
    assert world.rows()["stage_outcomes"] == done["stage_outcomes"] + 3
    assert world.blobs.reads["raw_upload_blob"] == reads, "spelling reads stored plaintext"
    assert set(staleness(world, "b1|e002").values()) == {"FRESH"}


def test_a_changed_setting_makes_validation_and_spelling_of_that_batch_stale(
    world: World,
) -> None:
    ready_batch(world, "b1")
    ready_batch(world, "b2")
    change_settings(world.ledger, "b1", BatchSettings(word_list=("teh",)))
    world.settle()

    assert staleness(world, "b1|e001") == {
        "raw_upload": "FRESH",
        "extracted_plaintext": "FRESH",
        "validation_result": "STALE",
        "spellcheck_result": "STALE",
    }
    assert set(staleness(world, "b2|e001").values()) == {"FRESH"}

    assert world.view("b1").essays[0].misspellings == 1
    cells = [f"b1|e00{number}" for number in (1, 2, 3)]
    before = {asset: world.materialization_count(asset) for asset in ESSAY_ASSETS}
    outcomes = world.rows()["stage_outcomes"]
    backfill(world, ["validation_result", "spellcheck_result"], cells)
    after = {asset: world.materialization_count(asset) for asset in ESSAY_ASSETS}
    assert after == {
        **before,
        "validation_result": before["validation_result"] + 3,
        "spellcheck_result": before["spellcheck_result"] + 3,
    }
    computed = world.rows()["stage_outcomes"] - outcomes
    assert computed == 3, "spelling once for each essay; the limits are those of before"
    assert world.view("b1").essays[0].misspellings == 0
    assert set(staleness(world, "b1|e001").values()) == {"FRESH"}


def test_a_new_version_leaves_its_neighbours_fresh_and_is_fresh_itself(world: World) -> None:
    ready_batch(world)
    world.hand_in("b1", {"student-2/essay.txt": f"{GOOD} Another ending.".encode()})
    world.settle()

    for number in (1, 2, 3):
        assert set(staleness(world, f"b1|e00{number}").values()) == {"FRESH"}


def test_a_text_that_changed_alone_makes_that_essay_stale_downstream(world: World) -> None:
    ready_batch(world)
    world.hand_in("b1", {"student-2/essay.txt": f"{GOOD} Another ending.".encode()})
    assert world.materialize(["raw_upload", "extracted_plaintext"], "b1|e002").success

    assert staleness(world, "b1|e002")["spellcheck_result"] == "STALE"
    assert staleness(world, "b1|e001")["spellcheck_result"] == "FRESH"
