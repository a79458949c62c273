"""What those who watch a batch compare: it differs whenever what readers are told does."""

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.extraction.port import Extraction
from huleedu_dagster.intake.watching import state_of
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.pipeline.reprocessing import reprocess
from huleedu_dagster.pipeline.results import NotReadyError
from huleedu_dagster.reports.batch import write_batch_report
from tests.support.fakes import CheapSpeller, ManualClock, ScriptedExtractor
from tests.support.workshop import Workshop

STEPS = 120


TIMED_OUT = Extraction(code=Code.TIMEOUT, transient=True)


@pytest.mark.parametrize("seed", range(4))
def test_nothing_that_is_told_of_a_batch_changes_unseen(
    tmp_path: Path, ledger: Ledger, clock: ManualClock, seed: int
) -> None:
    shop = Workshop(tmp_path, ledger=ledger)
    shop.clock = clock
    shop.register(expected=4)
    chance = random.Random(seed)
    progress, state = seen(shop)
    changes = 0
    for number in range(STEPS):
        shop.clock.advance(1)
        step(shop, chance, number)
        progress_now, state_now = seen(shop)
        if state_now != state:
            changes += 1
            assert progress_now != progress, f"unseen after step {number}"
        progress, state = progress_now, state_now
    assert changes > STEPS / 6


def seen(shop: Workshop) -> tuple[object, str]:
    """What a poller compares, and the state it stands for."""
    with shop.ledger.read() as tx:
        return tx.progress.of_batch("class-a"), state_of(tx, "class-a").state_id


def step(shop: Workshop, chance: random.Random, number: int) -> None:
    """Do something to the batch that may be possible."""
    slot = f"e00{chance.randint(1, 4)}"
    text = f"Teh essay {number % 3}.".encode()
    words = chance.choice(((), ("teh",)))
    speller = CheapSpeller(version=chance.choice("12"))
    often: list[Callable[[], object]] = [
        lambda: shop.receive(f"{chance.randint(1, 7)}.txt", text),
        lambda: shop.receive("1.txt", f"Teh essay in version {number}.".encode()),
        lambda: shop.process(slot),
        lambda: shop.process(slot, pipeline=shop.pipeline_with(speller=speller)),
        lambda: shop.process(
            slot, pipeline=shop.pipeline_with(extractor=ScriptedExtractor(TIMED_OUT))
        ),
        lambda: reprocess(shop.ledger, "class-a", [slot]),
        lambda: shop.fail_until_dead(slot, name=f"run{number}"),
        lambda: lifecycle.replay(shop.ledger, number_of_a_dead_letter(shop, chance)),
        lambda: lifecycle.waive(shop.ledger, "class-a", slot, "ill"),
    ]
    rare: list[Callable[[], object]] = [
        lambda: shop.close(reason=ClosedBy.REQUEST),
        lambda: shop.intake.reopen("class-a"),
        lambda: shop.release(),
        lambda: write_batch_report(shop.ledger, shop.blobs, "class-a"),
        lambda: lifecycle.change_settings(shop.ledger, "class-a", BatchSettings(word_list=words)),
    ]
    with suppress(AssertionError, ValueError, LookupError, NotReadyError):
        chance.choice([*often * 3, *rare])()


def number_of_a_dead_letter(shop: Workshop, chance: random.Random) -> int:
    """The number of an open dead letter."""
    return chance.choice(lifecycle.dead_letters(shop.ledger)).dead_letter_id
