"""Which essays are stale, and asking for essays to be worked over again."""

import pytest

from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.ledger.records import Essay
from huleedu_dagster.pipeline.essay_views import UnknownEssayError
from huleedu_dagster.pipeline.lifecycle import change_settings
from huleedu_dagster.pipeline.reprocessing import is_reprocessing, reprocess, stale_slots
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
