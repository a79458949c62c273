"""What every ledger promises. Another database joins by its name in `DATABASES`."""

import threading
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.events import ExcessContentProvisionedV1
from huleedu_dagster.domain.ids import ContentType
from huleedu_dagster.domain.outcomes import Code, Stage, StageOutcome
from huleedu_dagster.domain.registration import BatchSettings, Registration
from huleedu_dagster.ledger.batches import UnknownBatchError
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.ledger.records import StageRecord, Upload, UploadStatus
from tests.support.fakes import START, ManualClock
from tests.support.ledger import all_rows, row_counts


def registration(batch_id: str = "a") -> Registration:
    return Registration(
        batch_id=batch_id, registered_at=START, correlation_id="0" * 36, settings=BatchSettings()
    )


def upload(number: int = 1, *, path: str = "a.txt", version: int = 1) -> Upload:
    return Upload(
        upload_id=f"{number:032x}",
        batch_id="a",
        path=path,
        version=version,
        slot="e001",
        status=UploadStatus.ASSIGNED,
        sha256="ab",
        size=1,
        blob_key="raw_upload_blob/a/x",
        received_at=START,
        correlation_id="0" * 36,
    )


def outcome(*, transient: bool = False, data_version: str = "d", key: str = "k") -> StageRecord:
    return StageRecord(
        batch_id="a",
        slot="e001",
        stage=Stage.EXTRACTED_PLAINTEXT,
        materialization_key=key,
        upload_id=f"{1:032x}",
        code_version="1",
        outcome=StageOutcome.REJECTED,
        data_version=data_version,
        code=Code.TIMEOUT,
        transient=transient,
    )


EXCESS = ExcessContentProvisionedV1(
    batch_id="a", upload_id="u", raw_file_storage_id="r", reason=Code.BATCH_FULL
)


def fill(tx: Transaction) -> None:
    tx.batches.register(registration())
    tx.essays.add_uploads([upload()])
    tx.essays.fill_slots([upload()])


def test_everything_in_a_transaction_happens_or_nothing_does(ledger: Ledger) -> None:
    before = all_rows(ledger)

    def write_and_die(tx: Transaction) -> None:
        fill(tx)
        assert tx.outcomes.record(outcome())
        tx.outbox.publish(EXCESS, correlation_id="0" * 36, batch_id="a")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"), ledger.write() as tx:
        write_and_die(tx)
    assert all_rows(ledger) == before
    with ledger.write() as tx:
        fill(tx)
        tx.outcomes.record(outcome())
        tx.outbox.publish(EXCESS, correlation_id="0" * 36, batch_id="a")
    counts = row_counts(ledger)
    assert (counts["stage_outcomes"], counts["current_outcomes"], counts["outbox"]) == (1, 1, 1)


def test_what_a_read_is_asked_to_write_is_not_kept(ledger: Ledger) -> None:
    with ledger.read() as tx:
        tx.batches.register(registration())
    assert row_counts(ledger)["batches"] == 0


def test_a_reader_sees_one_state_from_its_first_question_on(ledger: Ledger) -> None:
    with ledger.write() as tx:
        tx.batches.register(registration())
    with ledger.read() as reader:
        assert len(reader.batches.all()) == 1
        with ledger.write() as writer:
            writer.batches.register(registration("b"))
        assert len(reader.batches.all()) == 1
    with ledger.read() as tx:
        assert len(tx.batches.all()) == 2


def test_a_fact_published_again_is_the_same_event(ledger: Ledger) -> None:
    with ledger.write() as tx:
        tx.batches.register(registration())
        tx.outbox.publish(EXCESS, correlation_id="0" * 36, batch_id="a")
        tx.outbox.publish(EXCESS, correlation_id="1" * 36, batch_id="a")
    with ledger.write() as tx:
        tx.outbox.publish(EXCESS, correlation_id="2" * 36, batch_id="a")
    (event,) = all_rows(ledger)["outbox"]
    assert event["event_type"] == EXCESS.event_type
    assert event["envelope"]["correlation_id"] == "0" * 36


def test_repeats_of_every_fact_are_harmless(ledger: Ledger) -> None:
    def everything(tx: Transaction) -> list[bool]:
        failures = tx.failures
        return [
            tx.batches.register(registration()),
            failures.add_attempt("a", "e001", run_id="r", generation=0, reason="x"),
            failures.add_dead_letter(
                "a", "e001", generation=0, reason="x", attempts=3, correlation_id="c"
            ),
            tx.results.waive("a", "e001", "ill"),
            tx.results.record("a", ContentType.BATCH_MANIFEST, "f", "key"),
            tx.results.release("a", 1, "f", "key"),
            tx.batches.close("a", ClosedBy.REQUEST),
        ]

    with ledger.write() as tx:
        assert everything(tx) == [True] * 7
    before = all_rows(ledger)
    with ledger.write() as tx:
        assert everything(tx) == [False] * 7
    assert all_rows(ledger) == before


@pytest.mark.parametrize("column", ["version", "upload_id"])
def test_a_version_of_a_path_and_an_upload_are_there_once(ledger: Ledger, column: str) -> None:
    again = upload(2) if column == "version" else upload(1, version=2)
    with ledger.write() as tx:
        fill(tx)
    with pytest.raises(sa.exc.IntegrityError), ledger.write() as tx:
        tx.essays.add_uploads([again])
    assert row_counts(ledger)["uploads"] == 1


def test_a_slot_and_a_path_are_taken_once(ledger: Ledger) -> None:
    with ledger.write() as tx:
        fill(tx)
        tx.essays.add_uploads([upload(2, path="b.txt")])
    for other in (upload(2, path="b.txt"), upload(1)):
        with pytest.raises(sa.exc.IntegrityError), ledger.write() as tx:
            tx.essays.fill_slots([other])


def test_nothing_is_recorded_of_a_batch_that_nobody_registered(ledger: Ledger) -> None:
    with pytest.raises(sa.exc.IntegrityError), ledger.write() as tx:
        tx.essays.add_uploads([upload()])
    with pytest.raises(UnknownBatchError), ledger.write() as tx:
        tx.batches.reopen("a")


def test_an_outcome_stands_for_its_key_and_a_transient_one_is_replaced(ledger: Ledger) -> None:
    with ledger.write() as tx:
        fill(tx)
        assert tx.outcomes.record(outcome(transient=True, data_version="first"))
        key = (Stage.EXTRACTED_PLAINTEXT, "k")
        assert tx.outcomes.under_key("a", "e001", *key) is None
        assert tx.outcomes.record(outcome(data_version="second"))
        assert not tx.outcomes.record(outcome(data_version="third"))
        found = tx.outcomes.under_key("a", "e001", *key)
        assert found is not None
        assert found.data_version == "second"
        assert tx.outcomes.record(outcome(key="other", data_version="fourth"))
        assert [it.data_version for it in tx.outcomes.current("a")] == ["fourth"]
        assert [it.data_version for it in tx.outcomes.history("a", "e001")] == ["second", "fourth"]


def test_current_outcomes_come_by_slot_and_name_of_the_stage(ledger: Ledger) -> None:
    stages = [Stage.VALIDATION_RESULT, Stage.RAW_UPLOAD, Stage.SPELLCHECK_RESULT]
    with ledger.write() as tx:
        fill(tx)
        for stage in (*stages, Stage.EXTRACTED_PLAINTEXT):
            tx.outcomes.record(replace(outcome(), stage=stage))
        found = [it.stage for it in tx.outcomes.current("a")]
    assert found == sorted(Stage, key=str)


def test_the_latest_result_is_that_of_the_facts_seen_last(
    ledger: Ledger, clock: ManualClock
) -> None:
    """Facts may return to what they were, and a clock may stand still or be set back."""
    kind = ContentType.BATCH_REPORT_HTML
    with ledger.write() as tx:
        tx.batches.register(registration())
    for fingerprint, seconds in (("one", 1), ("two", 0), ("one", -60)):
        clock.advance(seconds)
        with ledger.write() as tx:
            tx.results.record("a", kind, fingerprint, f"blob of {fingerprint}")
    with ledger.read() as tx:
        assert tx.results.latest_blob("a", kind) == "blob of one"
        assert tx.results.is_latest("a", kind, "one")
        assert not tx.results.is_latest("a", kind, "two")


def test_moments_without_a_zone_are_refused(ledger: Ledger) -> None:
    naive = START.replace(tzinfo=None)
    with pytest.raises(sa.exc.StatementError, match="aware"), ledger.write() as tx:
        tx.batches.register(registration().model_copy(update={"registered_at": naive}))
    assert row_counts(ledger)["batches"] == 0


def test_moments_come_back_in_utc_whatever_their_zone_was(ledger: Ledger) -> None:
    moment = datetime(2026, 11, 22, 1, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    with ledger.write() as tx:
        tx.batches.register(registration().model_copy(update={"deadline": moment}))
        deadline = tx.batches.get("a").registration.deadline
    assert deadline == moment
    assert deadline is not None
    assert deadline.utcoffset() == timedelta(0)


def test_writers_that_read_before_they_write_wait_for_each_other(ledger: Ledger) -> None:
    with ledger.write() as tx:
        tx.batches.register(registration())
    failed: list[Exception] = []
    gate = threading.Barrier(4)

    def count_up() -> None:
        gate.wait()
        try:
            for _ in range(10):
                with ledger.write() as tx:
                    batch = tx.batches.get("a", lock=True)
                    tx.batches.set_attempts("a", batch.attempts + 1, 0)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert failed == []
    with ledger.read() as tx:
        assert tx.batches.get("a").attempts == 40
