"""Two runs that tell Dagster of one essay at the same time, on every database."""

from pathlib import Path

import pytest

from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.pipeline.essays import EssayResult
from tests.support.workshop import ALL, GOOD, Workshop

SLOT = ["e001"]
TO_TEXT = frozenset({Stage.RAW_UPLOAD, Stage.EXTRACTED_PLAINTEXT})


@pytest.fixture
def shop(ledger: Ledger, tmp_path: Path) -> Workshop:
    """An installation with one essay that is done and shown."""
    found = Workshop(tmp_path, ledger=ledger)
    found.register(expected=2)
    found.receive("a.txt")
    found.process()
    assert not found.essay().due
    return found


def emit(shop: Workshop) -> EssayResult:
    """Read what is stored, as a run does that computes nothing; what it tells comes later."""
    return shop.pipeline.stored(shop.essay())


def compute(shop: Workshop, *, stages: frozenset[Stage] = ALL) -> EssayResult:
    """Record another result than the one that is there, as a run does before it tells of it."""
    settings = BatchSettings(word_list=("teh",))
    lifecycle.change_settings(shop.ledger, "class-a", settings)
    return shop.pipeline.process(settings, shop.essay(), stages)


def end(shop: Workshop, *results: EssayResult) -> None:
    """Note that Dagster has been told, as a run does in the end."""
    for it in results:
        shop.pipeline.mark_shown("class-a", [it], SLOT)


def test_what_another_run_recorded_and_did_not_tell_stays_due(shop: Workshop) -> None:
    old = emit(shop)
    compute(shop)
    end(shop, old)
    assert shop.essay().due


@pytest.mark.parametrize("older_first", [True, False])
def test_an_essay_that_two_runs_told_of_is_told_of_once_more(
    shop: Workshop, older_first: bool
) -> None:
    old, new = emit(shop), compute(shop)
    end(shop, *([old, new] if older_first else [new, old]))
    essay = shop.essay()
    assert essay.due
    # Another run key than that of a run that was asked for in between.
    assert essay.generation > new.generation

    end(shop, emit(shop))
    assert not shop.essay().due
    assert shop.essay().generation == essay.generation


def test_a_result_that_was_overtaken_when_it_was_recorded_is_told_of_once_more(
    shop: Workshop,
) -> None:
    essay = shop.essay()
    settings = shop.facts().batch.registration.settings
    first = compute(shop)
    second = shop.pipeline.process(settings, essay)
    end(shop, second, first)
    assert shop.essay().due
    assert emit(shop).records == second.records


def test_a_run_of_some_stages_that_was_overtaken_has_its_essay_told_of_once_more(
    shop: Workshop,
) -> None:
    old, new = emit(shop), compute(shop)
    end(shop, new)
    assert not shop.essay().due
    shop.pipeline.mark_shown("class-a", [old], [])
    assert shop.essay().due


def test_what_was_told_of_the_version_before_asks_for_nothing_while_the_new_one_waits(
    shop: Workshop,
) -> None:
    old = emit(shop)
    shop.receive("a.txt", GOOD + b" And of harbours.")
    before = shop.essay()
    end(shop, old)
    assert shop.essay() == before


def test_work_that_is_asked_for_again_is_told_of_once_more_if_an_older_run_ends_after_it(
    shop: Workshop,
) -> None:
    old = emit(shop)
    with shop.ledger.write() as tx:
        tx.essays.ask_again("class-a", "e001")
    essay = shop.essay()
    again = compute(shop)
    end(shop, old)
    shop.pipeline.mark_shown("class-a", [again], SLOT, [essay])
    assert (shop.essay().reprocess, shop.essay().due) == (None, True)
