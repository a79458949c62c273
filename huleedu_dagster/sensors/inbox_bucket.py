"""`inbox_bucket_sensor`: takes in the inbox bucket; there is one where the settings name a bucket.

A sensor of its own: while the bucket cannot be listed its ticks fail, for everybody to see, and the
others go on with folder, pages and runs.
"""

from functools import cache
from typing import TYPE_CHECKING

from dagster import (
    DefaultSensorStatus,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)

from huleedu_dagster.assets.groups import OF_ESSAYS, OWNED
from huleedu_dagster.pipeline.inbox_turns import Allowance
from huleedu_dagster.pipeline.intake import Intake
from huleedu_dagster.resources.blobs import BlobStoreResource
from huleedu_dagster.resources.ledger import LedgerResource
from huleedu_dagster.resources.telling import store_errors_told
from huleedu_dagster.sensors.sweeps import log_sweep, told
from huleedu_dagster.settings import Settings

if TYPE_CHECKING:
    from huleedu_dagster.storage.inbox_bucket import InboxBucket

_DESCRIPTION = """Takes in what is new in the inbox bucket; `upload_sensor` asks for the runs.

**It never asks for runs**, so every tick is skipped; its reason says what it found. A tick fails
while the bucket cannot be listed, and the next one goes on. The cursor is the closed batch that was
looked at last: of those some are looked at in each tick. **While it is stopped**, objects stay
where they are.
"""


def build_inbox_bucket_sensors(settings: Settings) -> list[SensorDefinition]:
    """The sensor with the settings of this installation, if it has an inbox bucket."""
    if not settings.inbox_bucket:
        return []

    @cache
    def bucket() -> "InboxBucket":
        # A heavy import, and connections that are kept from tick to tick.
        from huleedu_dagster.storage.inbox_bucket import InboxBucket

        return InboxBucket.of(settings)

    @sensor(
        name="inbox_bucket_sensor",
        description=_DESCRIPTION,
        metadata=OWNED,
        tags=OF_ESSAYS,
        minimum_interval_seconds=settings.sensor_interval_seconds,
        default_status=DefaultSensorStatus.RUNNING,
    )
    def inbox_bucket_sensor(
        context: SensorEvaluationContext, ledger: LedgerResource, blobs: BlobStoreResource
    ) -> SensorResult:
        """Takes in what is new in the inbox bucket; `upload_sensor` asks for the runs."""
        from huleedu_dagster.pipeline.inbox_bucket import BucketInbox

        inbox = BucketInbox(
            bucket(),
            Intake(ledger.open(), blobs.open(), settings.max_slots),
            settings.batch_settings,
            settings.max_upload_bytes,
        )
        # The cursor says which closed batch was looked at last, not what was seen.
        with store_errors_told():
            found, after = inbox.sweep(Allowance(settings.inbox_tick_files), context.cursor or "")
        log_sweep("inbox bucket", found)
        return SensorResult(skip_reason=told(found), cursor=after)

    return [inbox_bucket_sensor]
