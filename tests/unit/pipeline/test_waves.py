"""Which runs to ask for."""

import pytest

from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.pipeline.results import report_fingerprint
from huleedu_dagster.pipeline.versions import CodeVersions
from huleedu_dagster.pipeline.waves import Wave, closing_run_key, plan_waves, slots_up_to
from tests.support.workshop import GOOD, Workshop

VERSION = "v1"


@pytest.fixture
def two(shop: Workshop) -> Workshop:
    """Two pending essays in one batch and one in another."""
    for batch_id in ("class-b", "class-a"):
        shop.register(batch_id)
    shop.receive("x.txt", batch_id="class-b")
    for name in ("b.txt", "a.txt"):
        shop.receive(name)
    return shop


def waves(shop: Workshop, *, version: str = VERSION, limit: int = 99) -> dict[str, Wave]:
    with shop.ledger.read() as tx:
        found = plan_waves(tx.essays.due(limit), pipeline_version=version)
    return {it.batch_id: it for it in found}


def test_there_is_one_wave_for_each_batch_with_pending_essays(two: Workshop) -> None:
    found = waves(two)
    assert set(found) == {"class-a", "class-b"}
    wave = found["class-a"]
    assert (wave.slots, wave.first, wave.last) == (("e001", "e002"), "e001", "e002")
    two.process_pending()
    assert waves(two) == {}


def test_equal_work_is_asked_for_under_equal_keys(two: Workshop) -> None:
    before = waves(two)
    two.clock.advance(3600)
    assert waves(two) == before
    assert before["class-a"].run_key != before["class-b"].run_key


def test_the_longest_waiting_essays_come_first(two: Workshop) -> None:
    assert set(waves(two, limit=1)) == {"class-b"}
    assert waves(two, limit=2)["class-a"].slots == ("e001",)


def test_a_new_pipeline_version_changes_the_key(two: Workshop) -> None:
    assert waves(two, version="v2")["class-a"].run_key != waves(two)["class-a"].run_key


def test_an_attempt_a_replay_and_a_new_version_change_the_key_of_their_batch_only(
    two: Workshop,
) -> None:
    seen = [waves(two)]
    two.fail_until_dead(attempts=1, name="one")
    seen.append(waves(two))
    two.fail_until_dead(attempts=2, name="two")
    lifecycle.replay(two.ledger, lifecycle.dead_letters(two.ledger)[0].dead_letter_id)
    seen.append(waves(two))
    two.receive("b.txt", GOOD + b" More.")
    seen.append(waves(two))
    two.receive("c.txt", b"c")
    seen.append(waves(two))
    assert len({it["class-a"].run_key for it in seen}) == 5
    assert len({it["class-b"].run_key for it in seen}) == 1


def test_going_back_to_earlier_bytes_is_new_work(two: Workshop) -> None:
    first = waves(two)["class-a"].run_key
    two.receive("b.txt", GOOD + b" More.")
    two.receive("b.txt", GOOD)
    assert waves(two)["class-a"].run_key != first


def test_new_code_versions_make_no_essay_pending(two: Workshop) -> None:
    two.process_pending()
    assert waves(two, version="v2") == {}


def test_slots_are_filled_in_without_gaps() -> None:
    assert slots_up_to("e003") == ["e001", "e002", "e003"]


def test_the_run_key_of_closing_work_changes_with_facts_revision_attempt_and_replay(
    two: Workshop,
) -> None:
    def key(revision: int = 0) -> str:
        facts = two.facts()
        return closing_run_key(facts, report_fingerprint(facts), revision)

    two.process_pending()
    two.close()
    keys = {key()}
    two.clock.advance(60)
    assert key() in keys
    keys.add(key(revision=1))
    with two.ledger.write() as tx:
        tx.batches.set_attempts("class-a", 1, 0)
    keys.add(key())
    with two.ledger.write() as tx:
        tx.batches.set_attempts("class-a", 0, 1)
    keys.add(key())
    two.receive("late.txt", b"late")
    keys.add(key())
    assert len(keys) == 5


def test_each_part_of_the_code_changes_the_version_of_the_pipeline() -> None:
    plain = CodeVersions.of(extraction="e", spelling="s")
    others = [
        CodeVersions.of(extraction="e2", spelling="s"),
        CodeVersions.of(extraction="e", spelling="s2"),
        CodeVersions.of(extraction="e", spelling="s", spelling_revision="2"),
    ]
    assert len({it.pipeline for it in (plain, *others)}) == 4
    assert others[2].extracted_plaintext == plain.extracted_plaintext
    assert others[2].spellcheck_result != plain.spellcheck_result
