"""Failures of infrastructure: kept work, counted attempts, dead letters, replays."""

import pytest

from huleedu_dagster.domain.ids import BATCH_LEVEL
from huleedu_dagster.domain.outcomes import Code, EssayOutcome, Stage
from huleedu_dagster.ledger.failures import UnknownDeadLetterError
from huleedu_dagster.ledger.records import DeadLetter, DeadLetterState
from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.pipeline.essays import record_attempt
from huleedu_dagster.pipeline.results import report_fingerprint
from huleedu_dagster.pipeline.waves import plan_waves
from tests.support.ledger import all_rows, events, row_counts
from tests.support.workshop import ALL, GOOD, Workshop


@pytest.fixture
def two(shop: Workshop) -> Workshop:
    """An installation with two essays in a full batch."""
    shop.register(expected=2)
    shop.receive("a.txt", GOOD + b" One.")
    shop.receive("b.txt", GOOD + b" Two.")
    return shop


def letters(shop: Workshop) -> list[DeadLetter]:
    return list(lifecycle.dead_letters(shop.ledger, only_open=False))


def attempt_at_batch(shop: Workshop, run_id: str) -> bool:
    return record_attempt(
        shop.ledger, "class-a", BATCH_LEVEL, run_id=run_id, reason="OSError", max_attempts=3
    )


def run_key(shop: Workshop) -> str:
    with shop.ledger.read() as tx:
        (wave,) = plan_waves(tx.essays.due(9), pipeline_version="v")
    return wave.run_key


def test_stages_before_a_failure_are_kept_and_not_done_again(two: Workshop) -> None:
    two.blobs.fail("put", "spellcheck_result", times=1)
    with pytest.raises(OSError, match="away"):
        two.process()
    assert two.essay().pending
    with two.ledger.read() as tx:
        kept = {it.stage for it in tx.outcomes.current("class-a", "e001")}
    assert kept == ALL - {Stage.SPELLCHECK_RESULT}
    assert two.facts().outcome(two.essay()) is EssayOutcome.PENDING
    assert two.process().computed == {Stage.SPELLCHECK_RESULT}
    assert not two.essay().pending


def test_a_failure_of_one_essay_leaves_the_others_alone(two: Workshop) -> None:
    broken = two.essay("e001").upload.blob_key
    two.blobs.fail("get", broken)
    for number in range(3):
        with pytest.raises(OSError, match="away"):
            two.process("e001")
        two.pipeline.record_failure(two.essay("e001"), run_id=f"r{number}", error=OSError())
    two.process("e002")
    facts = two.facts()
    assert [facts.outcome(it) for it in facts.essays] == [
        EssayOutcome.DEAD_LETTERED,
        EssayOutcome.ACCEPTED,
    ]
    assert two.essay("e002").attempts == 0


def test_a_run_counts_once_for_each_essay(two: Workshop) -> None:
    for _ in range(5):
        assert not two.pipeline.record_failure(two.essay(), run_id="r", error=OSError())
    assert two.essay().attempts == 1
    assert row_counts(two.ledger)["attempts"] == 1


def test_an_attempt_changes_the_run_key_so_that_the_work_is_asked_for_again(
    two: Workshop,
) -> None:
    before = run_key(two)
    assert run_key(two) == before
    two.pipeline.record_failure(two.essay(), run_id="r", error=OSError())
    assert run_key(two) != before


def test_after_the_last_attempt_an_essay_is_a_dead_letter_with_its_reason(two: Workshop) -> None:
    found = [
        two.pipeline.record_failure(two.essay(), run_id=f"r{number}", error=OSError("secret"))
        for number in range(3)
    ]
    assert found == [False, False, True]
    (letter,) = letters(two)
    assert (letter.slot, letter.attempts, letter.reason) == ("e001", 3, "OSError")
    assert letter.state is DeadLetterState.OPEN
    assert letter.correlation_id == two.essay().upload.correlation_id
    assert not two.essay().pending
    line = two.view().essays[0]
    assert (line.outcome, line.code) == (EssayOutcome.DEAD_LETTERED, Code.INFRASTRUCTURE_FAILURE)


def test_a_dead_letter_is_not_asked_for_again(two: Workshop) -> None:
    two.process("e002")
    two.fail_until_dead()
    with two.ledger.read() as tx:
        assert tx.essays.due(9) == []


def test_a_replayed_essay_is_pending_again_and_ends_well(two: Workshop) -> None:
    before = run_key(two)
    two.fail_until_dead()
    lifecycle.replay(two.ledger, letters(two)[0].dead_letter_id)
    essay = two.essay()
    assert (essay.pending, essay.attempts, essay.generation) == (True, 0, 1)
    assert run_key(two) != before
    assert two.facts().outcome(essay) is EssayOutcome.PENDING
    two.process()
    assert two.facts().outcome(two.essay()) is EssayOutcome.ACCEPTED
    assert lifecycle.dead_letters(two.ledger) == []


def test_a_replayed_essay_that_fails_again_is_a_new_dead_letter(two: Workshop) -> None:
    two.fail_until_dead(name="first")
    lifecycle.replay(two.ledger, letters(two)[0].dead_letter_id)
    two.fail_until_dead(name="second")
    assert [it.state for it in letters(two)] == [DeadLetterState.REPLAYED, DeadLetterState.OPEN]
    assert two.facts().outcome(two.essay()) is EssayOutcome.DEAD_LETTERED


def test_a_dead_letter_that_is_materialized_by_hand_has_recovered(two: Workshop) -> None:
    two.fail_until_dead(name="first")
    two.process()
    assert [it.state for it in letters(two)] == [DeadLetterState.RECOVERED]
    assert two.facts().outcome(two.essay()) is EssayOutcome.ACCEPTED
    assert two.essay().attempts == 0


def test_a_dead_letter_is_replayed_once(two: Workshop) -> None:
    two.fail_until_dead()
    number = letters(two)[0].dead_letter_id
    lifecycle.replay(two.ledger, number)
    before = all_rows(two.ledger)
    with pytest.raises(lifecycle.NotReplayableError):
        lifecycle.replay(two.ledger, number)
    with pytest.raises(UnknownDeadLetterError):
        lifecycle.replay(two.ledger, number + 1)
    assert all_rows(two.ledger) == before


def test_a_failed_recomputation_takes_no_outcome_away(two: Workshop) -> None:
    two.process()
    two.fail_until_dead()
    assert letters(two) == []
    assert two.facts().outcome(two.essay()) is EssayOutcome.ACCEPTED


def test_an_attempt_at_an_old_version_does_not_count_for_the_new_one(two: Workshop) -> None:
    old = two.essay()
    two.receive("a.txt", GOOD + b" Newer.")
    two.pipeline.record_failure(old, run_id="r", error=OSError())
    assert two.essay().attempts == 0


def test_failed_closing_work_becomes_a_dead_letter_of_the_batch(two: Workshop) -> None:
    two.process_pending()
    assert [attempt_at_batch(two, f"r{it}") for it in range(3)] == [False, False, True]
    (letter,) = letters(two)
    assert letter.slot == BATCH_LEVEL
    assert two.facts().closing_work_failed
    assert [two.facts().outcome(it) for it in two.facts().essays] == [EssayOutcome.ACCEPTED] * 2


def test_a_batch_whose_closing_work_failed_is_not_called_ready(two: Workshop) -> None:
    two.process_pending()
    for it in range(3):
        attempt_at_batch(two, f"r{it}")
    assert events(two.ledger, "essays.ready") == []
    assert two.view().status.value != "ready"


def test_replayed_closing_work_is_asked_for_again(two: Workshop) -> None:
    two.process_pending()
    for it in range(3):
        attempt_at_batch(two, f"r{it}")
    before = two.facts().batch.generation
    lifecycle.replay(two.ledger, letters(two)[0].dead_letter_id)
    batch = two.facts().batch
    assert batch.attempts == 0
    assert batch.generation > before
    assert not two.facts().closing_work_failed
    two.release()
    assert two.view().status.value == "ready"


def test_closing_work_that_fails_again_after_it_recovered_is_a_dead_letter_again(
    two: Workshop,
) -> None:
    two.process_pending()
    for it in range(3):
        attempt_at_batch(two, f"first{it}")
    two.release()
    assert [it.state for it in letters(two)] == [DeadLetterState.RECOVERED]
    two.receive("a.txt", GOOD + b" Newer.")
    two.process_pending()
    assert [attempt_at_batch(two, f"second{it}") for it in range(3)] == [False, False, True]
    assert two.facts().closing_work_failed
    assert len(lifecycle.dead_letters(two.ledger)) == 1


def test_a_dead_letter_of_the_batch_does_not_change_what_its_report_tells(two: Workshop) -> None:
    two.process_pending()
    before = report_fingerprint(two.facts())
    two.clock.advance(600)
    for it in range(3):
        attempt_at_batch(two, f"r{it}")
    assert report_fingerprint(two.facts()) == before


def test_a_dead_letter_that_was_shown_in_part_meanwhile_asks_for_no_run(shop: Workshop) -> None:
    shop.register()
    shop.receive("a.txt")
    settings = shop.facts().batch.registration.settings
    result = shop.pipeline.process(settings, shop.essay(), frozenset([Stage.RAW_UPLOAD]))
    with shop.ledger.write() as tx:
        # As whoever counts a run that died does.
        tx.essays.mark_due("class-a", "e001")
    shop.fail_until_dead()

    shop.pipeline.mark_shown("class-a", [result], set())

    assert not shop.essay().due
    with shop.ledger.read() as tx:
        assert tx.essays.due(99) == []
