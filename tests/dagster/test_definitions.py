"""The code location as Dagster loads it."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetCheckKey, AssetKey, build_schedule_context
from dagster._core.definitions import data_version

from huleedu_dagster.assets import emission
from huleedu_dagster.definitions import build_resources
from huleedu_dagster.settings import Settings
from tests.dagster.test_acceptance import check_of, essays
from tests.dagster.test_backfills import ready_batch
from tests.support import world_defs
from tests.support.world import World

ASSETS = {
    "raw_upload",
    "extracted_plaintext",
    "validation_result",
    "spellcheck_result",
    "batch_registration",
    "batch_manifest",
    "batch_release",
    "batch_report",
    "audit_report",
}


def test_exactly_these_assets_are_defined_and_described(world: World) -> None:
    graph = world_defs.defs().get_repository_def().asset_graph
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == ASSETS
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        text = node.description or ""
        assert tells_an_operator(text), key
        # Nobody sees them from a name.
        assert "**A partition**" in text, key
        assert "**Materializing it again**" in text, key
        assert node.owners == ["team:essay-intake"], key
        assert node.group_name in {"registration", "essays", "batches", "audit"}, key
        assert node.tags["huleedu/scope"] in {"essay", "batch", "day"}, key
        assert node.kinds, key
        assert node.code_version, key
        assert node.is_partitioned, key


def test_every_check_says_what_to_do_when_it_fails(world: World) -> None:
    graph = world_defs.defs().get_repository_def().asset_graph
    for key in graph.asset_check_keys:
        text = graph.get(key).description or ""
        assert tells_an_operator(text), key
        assert "**When it fails**" in text, key


def with_an_s3_server(monkeypatch: pytest.MonkeyPatch, *, access_key: str, secret_key: str) -> None:
    """Set the installation up for an S3 server that nobody asks."""
    monkeypatch.setenv("HULEEDU_S3_ENDPOINT", "s3.example")
    monkeypatch.setenv("HULEEDU_S3_BUCKET", "essays")
    monkeypatch.setenv("HULEEDU_S3_ACCESS_KEY", access_key)
    monkeypatch.setenv("HULEEDU_S3_SECRET_KEY", secret_key)


def test_every_job_sensor_schedule_and_resource_is_described(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_an_s3_server(monkeypatch, access_key="key", secret_key="secret")
    monkeypatch.setenv("HULEEDU_INBOX_BUCKET", "inbox")
    repository = world_defs.defs().get_repository_def()
    jobs = [it for it in repository.get_all_jobs() if not it.name.startswith("__")]
    sensors, schedules = repository.sensor_defs, repository.schedule_defs

    assert {it.name for it in sensors} == {
        "upload_sensor",
        "batch_sensor",
        "failure_sensor",
        "inbox_bucket_sensor",
    }
    assert {it.name for it in schedules} == {"daily_audit", "daily_essay_checks"}
    assert len(jobs) == len({it.name for it in jobs}) == 4
    definitions: list[Any] = [*jobs, *sensors, *schedules]
    for definition in definitions:
        assert tells_an_operator(definition.description), definition.name
        assert definition.metadata["owner"].value == "team:essay-intake", definition.name
        assert definition.tags["huleedu/scope"] in {"essay", "batch", "day"}, definition.name
    resources = repository.get_top_level_resources()
    assert set(resources) >= {"ledger", "blobs", "extractor", "speller", "pages"}
    for name, resource in resources.items():
        assert (resource.description or "").endswith("."), name


def tells_an_operator(text: str | None) -> bool:
    """Whether a text has a first sentence for lists, and more than that."""
    first, _, rest = (text or "").partition("\n\n")
    return first.endswith(".") and len(first) < 160 and len(rest) > 60


def test_exactly_these_checks_are_defined_and_only_completeness_blocks(world: World) -> None:
    graph = world_defs.defs().get_repository_def().asset_graph
    checks = {key.name: graph.get(key).blocking for key in graph.asset_check_keys}
    assert checks == {
        "batch_is_complete": True,
        "raw_blob_is_intact": False,
        "extraction_is_reproducible": False,
        "totals_equal_the_ledger": False,
        "parts_add_up": False,
        "events_tell_the_same": False,
    }


def test_the_lineage_is_that_of_the_requirements(world: World) -> None:
    graph = world_defs.defs().get_repository_def().asset_graph
    parents = {
        key.to_user_string(): {it.to_user_string() for it in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    assert parents["extracted_plaintext"] == {"raw_upload"}
    assert parents["validation_result"] == {"extracted_plaintext", "batch_registration"}
    assert {"extracted_plaintext", "batch_registration"} <= parents["spellcheck_result"]
    assert parents["batch_manifest"] == {"validation_result", "spellcheck_result"}
    assert parents["batch_release"] == parents["batch_report"] == {"batch_manifest"}


def test_the_provenance_tags_are_those_of_the_installed_dagster() -> None:
    assert emission._DATA_VERSION == data_version.DATA_VERSION_TAG
    assert emission._IS_USER_PROVIDED == data_version.DATA_VERSION_IS_USER_PROVIDED_TAG
    assert emission._CODE_VERSION == data_version.CODE_VERSION_TAG
    key = AssetKey("x")
    assert f"{emission._INPUT_DATA_VERSION}/x" == data_version.get_input_data_version_tag(key)
    assert f"{emission._INPUT_POINTER}/x" == data_version.get_input_event_pointer_tag(key)


def test_the_daily_audit_reports_on_the_day_that_ended_and_its_totals_agree(
    world: World,
) -> None:
    ready_batch(world)
    repository = world_defs.defs().get_repository_def()
    tonight = world.clock.now + timedelta(days=1)
    day = world.clock.now.date().isoformat()

    context = build_schedule_context(
        instance=world.instance, scheduled_execution_time=tonight, repository_def=repository
    )
    data = repository.get_schedule_def("daily_audit").evaluate_tick(context)
    (request,) = data.run_requests or []
    assert request.tags["dagster/partition"] == day
    result = repository.get_job("audit_day").execute_in_process(
        instance=world.instance, tags=request.tags
    )

    assert result.success
    assert check_of(world, "audit_report", "totals_equal_the_ledger", day) == ["SUCCEEDED"]
    with world.ledger.read() as tx:
        totals = tx.audit.totals(world.clock.now.date())
    assert (totals["received"], totals["accepted"], totals["completed"]) == (3, 3, 1)


def test_a_report_that_no_longer_agrees_fails_its_check(world: World) -> None:
    ready_batch(world, "b1", 1)
    repository = world_defs.defs().get_repository_def()
    day = world.clock.now.date().isoformat()
    audit = repository.get_job("audit_day")
    audit.execute_in_process(instance=world.instance, tags={"dagster/partition": day})
    ready_batch(world, "b2", 2)

    key = AssetCheckKey(AssetKey("audit_report"), "totals_equal_the_ledger")
    checks = world.execute_check("audit_day", key, day)

    assert checks.success
    assert check_of(world, "audit_report", "totals_equal_the_ledger", day)[0] == "FAILED"


def test_the_nightly_checks_cover_every_essay_of_the_day(world: World) -> None:
    # As somebody did on Dagster's page: its ranges follow this order, not that of the names.
    world.instance.add_dynamic_partitions("essay", ["e002"])
    ready_batch(world, "b1", 3)
    world.register("b2", expected=2)
    world.hand_in("b2", essays(1))
    repository = world_defs.defs().get_repository_def()
    context = build_schedule_context(
        instance=world.instance,
        scheduled_execution_time=world.clock.now + timedelta(days=1),
        repository_def=repository,
        resources=world_defs.resources(),
    )
    data = repository.get_schedule_def("daily_essay_checks").evaluate_tick(context)
    (request,) = data.run_requests or []
    result = repository.get_job("check_essays").execute_in_process(
        instance=world.instance, tags=request.tags
    )

    assert result.success
    for cell in ("b1|e001", "b1|e002", "b1|e003"):
        assert check_of(world, "raw_upload", "raw_blob_is_intact", cell) == ["SUCCEEDED"]


def test_a_password_is_in_no_configuration_that_dagster_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HULEEDU_LEDGER_URL", "postgresql://huleedu:hunter2@db.example/ledger")
    with_an_s3_server(monkeypatch, access_key="hunter2-access", secret_key="hunter2-secret")
    resources = build_resources(Settings(home=tmp_path))
    assert "hunter2" not in str({name: it.model_dump() for name, it in resources.items()})


def test_the_ledger_that_the_settings_name_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HULEEDU_LEDGER_URL", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    ledger = build_resources(Settings(home=tmp_path))["ledger"].open()
    assert ledger.schema_revision() is not None
    assert (tmp_path / "elsewhere.db").exists()
    ledger.close()
