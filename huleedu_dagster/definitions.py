"""The code location: assets, checks, jobs, sensors, schedules and resources put together."""

import warnings
from collections.abc import Mapping
from typing import Any

from dagster import Definitions, definitions, in_process_executor
from dagster._utils.warnings import PreviewWarning

from huleedu_dagster.assets.audit import audit_report, build_audit_checks
from huleedu_dagster.assets.batches import batch_release, close_batch
from huleedu_dagster.assets.checks import build_completeness_check
from huleedu_dagster.assets.essays import build_essay_assets
from huleedu_dagster.assets.registration import batch_registration
from huleedu_dagster.jobs import build_jobs
from huleedu_dagster.pipeline.versions import CodeVersions
from huleedu_dagster.resources.blobs import BlobStoreResource
from huleedu_dagster.resources.extractor import ExtractorResource
from huleedu_dagster.resources.ledger import LedgerResource
from huleedu_dagster.resources.pages import IntakePagesResource
from huleedu_dagster.resources.speller import SpellerResource
from huleedu_dagster.schedules import build_schedules
from huleedu_dagster.sensors.batches import build_batch_sensor
from huleedu_dagster.sensors.failures import build_failure_sensor
from huleedu_dagster.sensors.inbox_bucket import build_inbox_bucket_sensors
from huleedu_dagster.sensors.uploads import build_upload_sensor
from huleedu_dagster.settings import Settings


def build_resources(settings: Settings) -> dict[str, Any]:
    """The resources of an installation, by name."""
    return {
        "ledger": LedgerResource.of(settings),
        "blobs": BlobStoreResource(folder=str(settings.blob_folder)),
        "extractor": ExtractorResource.of(settings),
        "speller": SpellerResource.of(settings),
        "pages": IntakePagesResource.of(settings),
    }


def build_defs(
    settings: Settings, resource_overrides: Mapping[str, Any] | None = None
) -> Definitions:
    """All definitions of an installation.

    Args:
        settings: The installation's settings.
        resource_overrides: Resources to use instead of those of `build_resources`; code versions
            follow the extractor and the speller that are used.

    Raises:
        ValueError: The language of unregistered batches is not one that can be checked.
    """
    resources = {**build_resources(settings), **(resource_overrides or {})}
    if settings.language not in resources["speller"].open().languages:
        raise ValueError(f"spelling cannot be checked in {settings.language!r}")
    versions = CodeVersions.of(
        extraction=resources["extractor"].open().version,
        spelling=resources["speller"].open().version,
        spelling_revision=settings.spelling_revision,
    )
    links = resources["pages"].home()
    assets = [
        batch_registration,
        build_essay_assets(
            versions,
            max_attempts=settings.max_attempts,
            parallel=settings.extraction_workers,
        ),
        close_batch,
        batch_release,
        audit_report,
    ]
    return Definitions(
        assets=[
            it.map_asset_specs(lambda spec: spec.merge_attributes(metadata=links)) for it in assets
        ],
        asset_checks=[build_completeness_check(), *build_audit_checks()],
        jobs=build_jobs(),
        sensors=[
            build_upload_sensor(settings, versions.pipeline),
            build_batch_sensor(settings),
            build_failure_sensor(settings),
            *build_inbox_bucket_sensors(settings),
        ],
        schedules=build_schedules(),
        resources=resources,
        executor=in_process_executor,
    )


@definitions
def defs() -> Definitions:
    """What Dagster loads: the installation that the environment describes."""
    with warnings.catch_warnings():
        # Partitioned checks are a preview feature; what is used of it is held by tests.
        warnings.simplefilter("ignore", PreviewWarning)
        return build_defs(Settings())
