"""Which essays are stale, and asking for essays to be worked over again."""

from dataclasses import replace

import pytest

from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.extraction.direct import DirectExtractor
from huleedu_dagster.extraction.port import Extraction
from huleedu_dagster.ledger.records import Essay
from huleedu_dagster.pipeline.essay_views import UnknownEssayError
from huleedu_dagster.pipeline.lifecycle import change_settings
from huleedu_dagster.pipeline.reprocessing import is_reprocessing, reprocess, stale_slots
from huleedu_dagster.spelling.port import SpellcheckReport, SpellingOptions
from tests.support.fakes import CheapSpeller
from tests.support.workshop import GOOD, Workshop


@pytest.fixture
def three(shop: Workshop) -> Workshop:
    """A batch of two essays that are done, one of them rejected, and one that waits."""
    shop.register()
    shop.receive("a.txt")
    shop.receive("b.txt", b"")
    shop.process_pending()
    shop.receive("c.txt", GOOD + b" The end.")
    return shop


def stale(shop: Workshop, revision: str = "") -> list[str]:
    """Slots that are stale for a spelling revision."""
    tools = shop.pipeline_with(spelling_revision=revision).tools
    return stale_slots(shop.ledger, "class-a", tools)


def everything(shop: Workshop) -> list[Essay]:
    """The rows of the slots."""
    with shop.ledger.read() as tx:
        return tx.essays.of_batch("class-a")


def test_results_of_other_code_or_settings_are_stale_and_what_waits_is_not(
    three: Workshop,
) -> None:
    assert stale(three) == []
    assert stale(three, revision="2") == ["e001", "e002"]
    three.process("e001", pipeline=three.pipeline_with(spelling_revision="2"))
    assert stale(three, revision="2") == ["e002"]
    change_settings(three.ledger, "class-a", BatchSettings(max_words=500))
    assert stale(three, revision="2") == ["e001", "e002"]


def test_asking_changes_no_outcome_and_nothing_of_what_waits(three: Workshop) -> None:
    view, before = three.view(), everything(three)
    assert reprocess(three.ledger, "class-a") == ("e001", "e002", "e003")
    assert three.view() == view
    after = everything(three)
    assert after[2] == before[2]
    assert [it.due for it in after] == [True, True, True]
    assert [it.reprocess for it in after] == [it.generation for it in after[:2]] + [None]
    assert is_reprocessing(three.ledger, "class-a")


def test_nothing_is_asked_for_when_one_slot_holds_no_essay(three: Workshop) -> None:
    before = everything(three)
    with pytest.raises(UnknownEssayError):
        reprocess(three.ledger, "class-a", ["e001", "e004"])
    assert everything(three) == before


class NewerExtractor:
    """Reads more than the one before."""

    version = "newer"

    def extract(self, data: bytes, suffix: str) -> Extraction:
        """See `Extractor.extract`."""
        found = DirectExtractor().extract(data, suffix)
        return replace(found, text=f"{found.text} And what it could not read.")


class SpellerAway(CheapSpeller):
    """A speller that cannot be had."""

    def check(self, text: str, options: SpellingOptions) -> SpellcheckReport:
        """See `Speller.check`."""
        raise OSError("the speller is away")


@pytest.fixture
def released(shop: Workshop) -> Workshop:
    """A batch of two essays that is released and asked to be worked over again."""
    shop.register(expected=2)
    shop.receive("a.txt")
    shop.receive("b.txt")
    shop.process_pending()
    shop.release()
    with shop.ledger.read() as tx:
        assert tx.batches.unreported() == []
    reprocess(shop.ledger, "class-a")
    return shop


def unreported(shop: Workshop) -> list[str]:
    """Batches whose closing work is to be done."""
    with shop.ledger.read() as tx:
        return [it.batch_id for it in tx.batches.unreported()]


def test_an_outcome_stands_until_all_stages_of_the_next_one_are_there(released: Workshop) -> None:
    view = released.view()
    broken = released.pipeline_with(extractor=NewerExtractor(), speller=SpellerAway())
    with pytest.raises(OSError, match="away"):
        released.process(pipeline=broken)
    assert released.view() == view
    assert released.release().revision == 1

    mended = CheapSpeller()
    result = released.process(
        pipeline=released.pipeline_with(extractor=NewerExtractor(), speller=mended)
    )
    assert mended.calls == 1
    assert Stage.EXTRACTED_PLAINTEXT not in result.computed
    assert released.view().essays[0].text_blob != view.essays[0].text_blob


def test_a_batch_is_not_released_while_half_of_it_is_worked_over(released: Workshop) -> None:
    newer = released.pipeline_with(extractor=NewerExtractor())
    essays = released.facts().essays
    result = released.process("e001", pipeline=newer)
    newer.mark_shown("class-a", [result], ["e001"], [essays[0]])
    assert unreported(released) == []
    result = released.process("e002", pipeline=newer)
    newer.mark_shown("class-a", [result], ["e002"], [essays[1]])
    assert unreported(released) == ["class-a"]
    assert released.release().revision == 2
