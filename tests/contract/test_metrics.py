"""The sums that metrics are told from: one with the facts, on every database."""

from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.outcomes import Code, EssayOutcome, Stage
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.extraction.direct import DirectExtractor
from huleedu_dagster.extraction.port import Extraction
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.ledger.metrics import (
    UNBOUNDED,
    Completion,
    EssayState,
    Metric,
    MetricSum,
    bound_ms,
)
from huleedu_dagster.ledger.migrations import runner
from huleedu_dagster.ledger.records import StageRecord
from huleedu_dagster.ledger.tables import metadata
from huleedu_dagster.observability.metrics import InstallationCollector, Metrics
from huleedu_dagster.pipeline import lifecycle
from tests.support.at_once import at_once
from tests.support.fakes import START, ManualClock
from tests.support.ledger import Rows, all_rows, database
from tests.support.workshop import GOOD, Workshop

MANY_EMPTY = 6


@pytest.fixture
def shop(ledger: Ledger, clock: ManualClock, tmp_path: Path) -> Workshop:
    """An installation on the ledger."""
    found = Workshop(tmp_path, ledger=ledger)
    found.clock = clock
    return found


def sums(ledger: Ledger) -> list[MetricSum]:
    with ledger.read() as tx:
        return tx.metrics.sums()


def totals(ledger: Ledger, metric: Metric) -> dict[str, float]:
    """What was added, by label."""
    found: defaultdict[str, float] = defaultdict(float)
    for it in sums(ledger):
        if it.metric is metric:
            found[it.label] += it.total
    return dict(found)


def observations(ledger: Ledger, metric: Metric) -> dict[str, int]:
    """How often something was added, by label."""
    found: Counter[str] = Counter()
    for it in sums(ledger):
        if it.metric is metric:
            found[it.label] += it.observations
    return dict(found)


def essays(ledger: Ledger) -> dict[EssayState, int]:
    with ledger.read() as tx:
        return {state: count for state, count in tx.metrics.standing().essays.items() if count}


def recounted(shop: Workshop, *batches: str) -> dict[EssayState, int]:
    """Essays by state as readers of each batch are told."""
    found: Counter[EssayOutcome] = Counter()
    for batch_id in batches:
        facts = shop.facts(batch_id)
        found.update(facts.outcome(it) for it in facts.essays)
    return {EssayState(it.value): count for it, count in found.items()}


def test_an_essays_way_is_counted_once_however_often_it_is_repeated(
    shop: Workshop, clock: ManualClock
) -> None:
    shop.register(expected=2)
    shop.receive("a.txt")
    clock.advance(100)
    shop.process()
    counted = sums(shop.ledger)
    assert observations(shop.ledger, Metric.STAGE_DURATION) == dict.fromkeys(Stage, 1)
    waited = totals(shop.ledger, Metric.QUEUE_LATENCY)
    assert waited.keys() == set(Stage)
    assert all(98 < it <= 100 for it in waited.values())
    assert totals(shop.ledger, Metric.STORED_BYTES) == {"": len(GOOD)}

    shop.receive("a.txt")
    shop.process()
    shop.process(force=True)

    assert sums(shop.ledger) == counted


class InBetween(DirectExtractor):
    """Does something else once, before it reads its first file."""

    def __init__(self, happen: Callable[[], object]) -> None:
        super().__init__()
        self._happen: Callable[[], object] | None = happen

    def extract(self, data: bytes, suffix: str) -> Extraction:
        happen, self._happen = self._happen, None
        if happen is not None:
            happen()
        return super().extract(data, suffix)


def test_what_two_at_once_find_out_is_counted_once(shop: Workshop) -> None:
    shop.register(expected=1)
    shop.receive("a.txt", b"")

    def overtake() -> None:
        # With other settings, so that the later stages of the two are not the same.
        lifecycle.change_settings(shop.ledger, "class-a", BatchSettings(min_words=500))
        shop.process()

    shop.process(pipeline=shop.pipeline_with(extractor=InBetween(overtake)))
    (found,) = recorded(shop.ledger, Stage.EXTRACTED_PLAINTEXT)
    assert found.code is Code.EMPTY_CONTENT
    assert totals(shop.ledger, Metric.REJECTED) == {Code.EMPTY_CONTENT: 1}


def recorded(ledger: Ledger, stage: Stage) -> list[StageRecord]:
    with ledger.read() as tx:
        return [it for it in tx.outcomes.history("class-a", "e001") if it.stage is stage]


def test_a_new_version_is_received_and_worked_on_like_any_other(shop: Workshop) -> None:
    shop.register(expected=1)
    shop.receive("a.txt")
    shop.process()
    shop.receive("a.txt", b"")
    assert essays(shop.ledger) == {EssayState.PENDING: 1}
    shop.process()
    assert essays(shop.ledger) == {EssayState.REJECTED: 1}
    assert totals(shop.ledger, Metric.REJECTED) == {Code.EMPTY_CONTENT: 1}
    assert totals(shop.ledger, Metric.RECEIVED) == {"assigned": 2}


def test_essays_are_counted_as_readers_are_told_of_them(shop: Workshop) -> None:
    shop.register("one", expected=9)
    shop.register("two", expected=1)
    for name, data in {"a": GOOD, "b": b"", "c": GOOD, "d": GOOD}.items():
        shop.receive(f"{name}.txt", data, batch_id="one")
    shop.receive("a.txt", batch_id="two")
    shop.receive("b.txt", batch_id="two")
    for slot in ("e001", "e002"):
        shop.process(slot, batch_id="one")
    for number in range(3):
        essay = shop.essay("e003", batch_id="one")
        shop.pipeline.record_failure(essay, run_id=f"run-{number}", error=OSError())
    expected = {
        EssayState.ACCEPTED: 1,
        EssayState.REJECTED: 1,
        EssayState.DEAD_LETTERED: 1,
        EssayState.PENDING: 2,
    }
    assert essays(shop.ledger) == expected == recounted(shop, "one", "two")
    assert totals(shop.ledger, Metric.RECEIVED) == {"assigned": 5, "excess": 1}
    with shop.ledger.read() as tx:
        standing = tx.metrics.standing()
    assert (standing.dead_letters, standing.open_dead_letters) == (1, 1)

    lifecycle.change_settings(shop.ledger, "one", BatchSettings(min_words=500))
    shop.process("e001", batch_id="one")
    with shop.ledger.read() as tx:
        (letter,) = tx.failures.open_letters()
    lifecycle.replay(shop.ledger, letter.dead_letter_id)
    assert essays(shop.ledger) == recounted(shop, "one", "two")
    assert essays(shop.ledger)[EssayState.REJECTED] == 2
    with shop.ledger.read() as tx:
        standing = tx.metrics.standing()
    assert (standing.dead_letters, standing.open_dead_letters) == (1, 0)


def test_sums_are_those_of_the_audit(shop: Workshop) -> None:
    shop.register(expected=3)
    for name, data in {"a": GOOD, "b": b"", "c": b"\x00\x01\x02"}.items():
        shop.receive(f"{name}.txt", data)
    shop.process_pending()
    shop.release()
    with shop.ledger.read() as tx:
        audited = tx.audit.totals(START.date())
    rejected = totals(shop.ledger, Metric.REJECTED)
    told = {it.removeprefix("rejected_") for it in audited if it.startswith("rejected_")}
    assert rejected == {code: audited[f"rejected_{code}"] for code in told}
    assert len(rejected) == 2
    assert totals(shop.ledger, Metric.RECEIVED) == {"assigned": audited["received"]}
    assert observations(shop.ledger, Metric.BATCH_COMPLETION) == {"ready": audited["completed"]}


def test_the_essay_that_waits_longest_is_known(shop: Workshop, clock: ManualClock) -> None:
    shop.register(expected=2)
    first = shop.receive("a.txt")
    clock.advance(50)
    second = shop.receive("b.txt")
    for expected in (first.received_at, second.received_at, None):
        with shop.ledger.read() as tx:
            assert tx.metrics.standing().oldest_pending_at == expected
        if expected is not None:
            shop.process("e001" if expected == first.received_at else "e002")


def test_a_batch_is_complete_once_and_incomplete_at_each_closing(
    shop: Workshop, clock: ManualClock
) -> None:
    shop.register(expected=2, timeout=500)
    shop.receive("a.txt")
    shop.process()
    with shop.ledger.read() as tx:
        assert tx.metrics.standing().open_past_deadline == 0
    clock.advance(600)
    with shop.ledger.read() as tx:
        assert tx.metrics.standing().open_past_deadline == 1
    lifecycle.close_what_is_due(shop.ledger, quiet_seconds=30)
    with shop.ledger.read() as tx:
        standing = tx.metrics.standing()
    assert (standing.open_past_deadline, standing.closed_incomplete) == (0, 1)
    assert totals(shop.ledger, Metric.BATCH_COMPLETION) == {"incomplete": 601.0}

    lifecycle.waive(shop.ledger, "class-a", "e002", "ill")
    shop.release()
    shop.release()
    with shop.ledger.read() as tx:
        assert tx.metrics.standing().closed_incomplete == 0
    assert observations(shop.ledger, Metric.BATCH_COMPLETION) == {"incomplete": 1, "ready": 1}


def test_a_batch_with_a_deadline_is_past_it_then_and_not_before(
    shop: Workshop, clock: ManualClock
) -> None:
    shop.register(expected=2, deadline=START + timedelta(seconds=60))
    for seconds, expected in ((59, 0), (2, 1)):
        clock.advance(seconds)
        with shop.ledger.read() as tx:
            assert tx.metrics.standing().open_past_deadline == expected
    shop.close(reason=ClosedBy.REQUEST)
    with shop.ledger.read() as tx:
        # Somebody closed it and knows: its time had no part in that.
        assert tx.metrics.standing().closed_incomplete == 0


def test_a_clock_that_is_set_back_makes_no_time_negative(
    shop: Workshop, clock: ManualClock, tmp_path: Path
) -> None:
    shop.register(expected=1)
    shop.receive("a.txt")
    shop.receive("b.txt")
    clock.advance(-3_600)
    metrics = Metrics.of(InstallationCollector(shop.ledger, tmp_path, lambda: 1.0))
    assert "huleedu_oldest_unprocessed_seconds 0.0" in metrics.told("")[0].decode()
    shop.process()
    shop.release()
    assert totals(shop.ledger, Metric.QUEUE_LATENCY) == dict.fromkeys(Stage, 0.0)
    assert totals(shop.ledger, Metric.BATCH_COMPLETION) == {"ready": 0.0}


def test_what_is_rolled_back_was_not_counted(shop: Workshop) -> None:
    def fail(tx: Transaction) -> None:
        tx.metrics.count_completion(tx.now, Completion.READY)
        raise ValueError

    with pytest.raises(ValueError), shop.ledger.write() as tx:
        fail(tx)
    assert sums(shop.ledger) == []


def test_writers_at_once_lose_nothing(shop: Workshop) -> None:
    batches = [f"class-{number}" for number in range(MANY_EMPTY)]
    for batch_id in batches:
        shop.register(batch_id, expected=2)
        shop.receive("a.txt", batch_id=batch_id)
        shop.receive("b.txt", b"", batch_id=batch_id)

    left = iter(batches)

    def process() -> None:
        batch_id = next(left)
        for slot in ("e001", "e002"):
            shop.process(slot, batch_id=batch_id)

    at_once(MANY_EMPTY, process)
    assert totals(shop.ledger, Metric.REJECTED) == {Code.EMPTY_CONTENT: MANY_EMPTY}
    worked = observations(shop.ledger, Metric.STAGE_DURATION)
    assert worked[Stage.EXTRACTED_PLAINTEXT] == 2 * MANY_EMPTY
    # What an empty file does not reach is no work.
    assert worked[Stage.SPELLCHECK_RESULT] == MANY_EMPTY
    assert essays(shop.ledger) == recounted(shop, *batches)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, 10_000), (10, 10_000), (10.001, 30_000), (1e9, UNBOUNDED)]
)
def test_an_observation_belongs_to_the_first_bucket_that_holds_it(
    seconds: float, expected: int
) -> None:
    assert bound_ms(Metric.BATCH_COMPLETION, seconds) == expected


def test_a_ledger_of_the_revision_before_has_its_sums_and_outcomes_afterwards(
    shop: Workshop, clock: ManualClock, kind: str, tmp_path: Path
) -> None:
    shop.register("one", expected=3, timeout=500)
    for name, data in {"a": GOOD, "b": b""}.items():
        shop.receive(f"{name}.txt", data, batch_id="one")
        shop.process("e001" if name == "a" else "e002", batch_id="one")
    shop.receive("late.txt", batch_id="one")
    clock.advance(1_000)
    shop.register("two", expected=2, timeout=500)
    shop.receive("a.txt", batch_id="two")
    clock.advance(1_000)
    lifecycle.close_what_is_due(shop.ledger, quiet_seconds=30)
    shop.process("e003", batch_id="one")
    shop.close("one")
    shop.release("one")
    before, standing = sums(shop.ledger), essays(shop.ledger)
    without = {it for it in before if it.metric is not Metric.QUEUE_LATENCY}
    kept = {name: rows for name, rows in all_rows(shop.ledger).items() if name != "metric_sums"}

    older = tmp_path / "older"
    older.mkdir()
    with database(kind, older, migrated=False) as url, closing(Ledger(url)) as migrated:
        runner.upgrade(migrated._engine, "0004")
        copy_rows(kept, migrated)
        migrated.migrate()

        assert migrated.schema_revision() == runner.HEAD
        after = all_rows(migrated)
        journal = {"metric_sums", "actions"}
        assert {it: after[it] for it in kept.keys() - journal} == {
            it: kept[it] for it in kept.keys() - journal
        }
        found = {(it.metric, it.label, it.bound_ms): it for it in sums(migrated)}
        assert found.keys() == {(it.metric, it.label, it.bound_ms) for it in without}
        for it in without:
            again = found[it.metric, it.label, it.bound_ms]
            assert again.observations == it.observations
            assert again.total == pytest.approx(it.total)
        assert essays(migrated) == standing


def copy_rows(rows: Rows, older: Ledger) -> None:
    """Put rows into a ledger of an older revision, as far as it has tables and columns for them."""
    with older.write() as tx:
        there = sa.inspect(tx.connection)
        for table in metadata.sorted_tables:
            if not there.has_table(table.name) or not rows.get(table.name):
                continue
            columns = {it["name"] for it in there.get_columns(table.name)}
            values = [
                {name: value for name, value in row.items() if name in columns}
                for row in rows[table.name]
            ]
            tx.connection.execute(sa.insert(table), values)
