"""The audit in Dagster: backfills of days long past, its checks, its metadata, its freshness."""

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from dagster import AssetKey
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.test_utils import freeze_time
from dagster._daemon.freshness import FreshnessDaemon

from huleedu_dagster.assets.shown import shown_data_version
from huleedu_dagster.domain.access import Scope, hash_token, new_token
from huleedu_dagster.domain.ids import BATCH_LEVEL, ContentType, derived_blob_key
from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.domain.outcomes import Code, Stage, StageOutcome
from huleedu_dagster.ledger.audit_facts import Days
from huleedu_dagster.ledger.tables import stage_outcomes
from huleedu_dagster.reports.audit import stored_report
from tests.dagster.test_acceptance import check_of
from tests.dagster.test_backfills import backfill, latest_metadata, runs_of, status_of
from tests.support import world_defs
from tests.support.week import MONDAY, Week
from tests.support.workshop import Workshop
from tests.support.world import World

AUDIT = "audit_report"
CHECKS = ("totals_equal_the_ledger", "parts_add_up", "events_tell_the_same")
BATCHES = 3


@pytest.fixture
def week(world: World, tmp_path: Path) -> Week:
    """A week in the world's ledger, long before today."""
    world.clock.now = MONDAY
    shop = Workshop(tmp_path / "shop", ledger=world.ledger)
    shop.clock = world.clock
    with world.ledger.write() as tx:
        token = tx.tokens.create("nine a", [Scope.UPLOAD], hash_token(new_token()))
    found = Week(shop, seed=7, batches=BATCHES, token=token.token_id)
    found.live()
    return found


def audit(world: World, day: date) -> None:
    """Write the report of a day and evaluate its checks, in one run."""
    job = world_defs.defs().get_repository_def().get_job("audit_day")
    result = job.execute_in_process(
        instance=world.instance, tags={"dagster/partition": day.isoformat()}
    )
    assert result.success


def verdicts(world: World, day: date) -> dict[str, str]:
    """The latest status of every check of a day."""
    return {name: check_of(world, AUDIT, name, day.isoformat())[0] for name in CHECKS}


def versions(world: World) -> dict[str, str]:
    """The latest data version of every day."""
    found = {}
    for day in world.materialized(AUDIT):
        shown = shown_data_version(world.instance, AssetKey(AUDIT), day)
        assert shown is not None
        found[day] = shown
    return found


def busiest(week: Week) -> date:
    """The day on which most came to an outcome."""
    return max(week.days, key=lambda it: week.tallies[it].counts["accepted"])


def test_a_backfill_of_days_long_past_has_the_numbers_of_each_day(world: World, week: Week) -> None:
    days = [it.isoformat() for it in week.days]

    found = backfill(world, [AUDIT], days)

    assert status_of(world, found) is BulkActionStatus.COMPLETED_SUCCESS
    assert len(runs_of(world, found)) == len(days)
    assert world.materialized(AUDIT) == set(days)
    for day in week.days:
        told = stored_report(world.ledger, world.blobs, day)["totals"]
        counts = week.tallies[day].counts
        assert {name: it for name, it in told.items() if it} == {**+counts}
        assert set(verdicts(world, day).values()) == {"SUCCEEDED"}, day
    before = versions(world)

    world.clock.advance(100 * 24 * 3600)
    backfill(world, [AUDIT], days)

    assert versions(world) == before


class HastyTime:
    """Stands in for Dagster's `time`: it moves by what is slept, and nothing waits."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def time(self) -> float:
        """Seconds since it was made."""
        return float(sum(self.slept))

    def sleep(self, seconds: float) -> None:
        """Come back at once."""
        self.slept.append(seconds)


def test_a_night_whose_store_fails_for_a_while_has_its_report(
    world: World, week: Week, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = HastyTime()
    monkeypatch.setattr("dagster._core.execution.plan.active.time", hasty)
    day = busiest(week)
    world.blobs.fail("put", "audit_report", 3)

    audit(world, day)

    assert hasty.slept == [20, 60, 140]
    assert set(verdicts(world, day).values()) == {"SUCCEEDED"}
    assert world.materialization_count(AUDIT, day.isoformat()) == 1


def test_the_numbers_of_a_day_are_metadata_that_dagster_plots(world: World, week: Week) -> None:
    day = busiest(week)
    audit(world, day)
    shown = latest_metadata(world, AUDIT, day.isoformat())
    counts = week.tallies[day].counts
    assert {name: shown[name] for name in counts} == counts
    assert all(type(shown[name]) is int for name in counts)
    assert type(shown["seconds_file_to_outcome_p95"]) is float
    assert type(shown["misspellings_per_100_words"]) is float
    table = shown["rejected_by_code"]
    rejected = {name: n for name, n in counts.items() if name.startswith("rejected_")}
    assert {f"rejected_{it.data['code']}": it.data["count"] for it in table.records} == rejected
    columns = [(it.name, it.type) for it in table.schema.columns]
    assert columns == [("code", "string"), ("count", "int")]
    assert "nine a" not in str(shown)


def evaluate(world: World, day: date) -> dict[str, str]:
    """Evaluate the checks of a day and nothing else; returns their statuses."""
    for key in world_defs.defs().get_repository_def().asset_graph.asset_check_keys:
        if key.name in CHECKS:
            assert world.execute_check("audit_day", key, day.isoformat()).success
    return verdicts(world, day)


def test_a_row_that_is_changed_after_the_report_fails_the_checks_of_its_day(
    world: World, week: Week
) -> None:
    day = busiest(week)
    other = next(it for it in week.days if it != day and week.tallies[it].counts["received"])
    audit(world, day)
    audit(world, other)
    assert set(verdicts(world, day).values()) == {"SUCCEEDED"}
    last = (stage_outcomes.c.stage == Stage.SPELLCHECK_RESULT, stage_outcomes.c.code.is_(None))
    with world.ledger.write() as tx:
        row = sa.select(sa.func.min(stage_outcomes.c.outcome_id)).where(
            *last, Days.one(day).hold(stage_outcomes.c.recorded_at)
        )
        tx.connection.execute(
            sa.update(stage_outcomes)
            .where(stage_outcomes.c.outcome_id == row.scalar_subquery())
            .values(outcome=StageOutcome.NOT_REACHED, code=Code.NO_TEXT_LAYER)
        )

    assert evaluate(world, day) == {
        "totals_equal_the_ledger": "FAILED",
        "parts_add_up": "SUCCEEDED",
        "events_tell_the_same": "SUCCEEDED",
    }
    assert set(evaluate(world, other).values()) == {"SUCCEEDED"}
    audit(world, day)
    assert verdicts(world, day) == {
        "totals_equal_the_ledger": "SUCCEEDED",
        "parts_add_up": "SUCCEEDED",
        "events_tell_the_same": "FAILED",
    }


def test_a_report_whose_batches_do_not_add_up_fails_its_check(world: World, week: Week) -> None:
    day = busiest(week)
    audit(world, day)
    report = stored_report(world.ledger, world.blobs, day)
    report["batches"][0]["accepted"] += 1
    data = json.dumps(report).encode()
    kind = ContentType.AUDIT_REPORT_JSON
    blob = derived_blob_key(kind, day.isoformat(), BATCH_LEVEL, sha256_hex(data))
    world.blobs.put(blob, data)
    with world.ledger.write() as tx:
        tx.audit.record(day, kind, blob, report["totals"])
    assert evaluate(world, day) == {
        "totals_equal_the_ledger": "SUCCEEDED",
        "parts_add_up": "FAILED",
        "events_tell_the_same": "SUCCEEDED",
    }


def freshness_at(world: World, moment: datetime) -> FreshnessState | None:
    """What the daemon that looks after freshness finds at a moment."""
    with freeze_time(moment):
        asyncio.run(
            FreshnessDaemon()._evaluate_assets(workspace_process_context=world.daemon.workspace)
        )
    found = world.instance.get_freshness_state_records([AssetKey(AUDIT)])
    record = found.get(AssetKey(AUDIT))
    return None if record is None else record.freshness_state


def midnight(moment: datetime) -> datetime:
    """When the day of a moment began."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def test_a_night_without_a_report_is_shown_as_failing(world: World) -> None:
    # Whoever runs the daemon has it looked after, without a setting.
    assert "FRESHNESS_DAEMON" in world.instance.get_required_daemon_types()
    today = midnight(datetime.now(UTC))
    assert freshness_at(world, today + timedelta(days=1, hours=2)) is FreshnessState.UNKNOWN
    audit(world, today.date() - timedelta(days=1))
    # The event has the machine's time: some time today, or past the midnight that came meanwhile.
    (event,) = world.instance.fetch_materializations(AssetKey(AUDIT), limit=1).records
    today = midnight(datetime.fromtimestamp(event.timestamp, UTC))
    assert freshness_at(world, today + timedelta(days=1, minutes=30)) is FreshnessState.PASS
    assert freshness_at(world, today + timedelta(days=1, hours=2)) is FreshnessState.FAIL
