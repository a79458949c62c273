"""An intake whose pages are in every state that a teacher or an operator can meet."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.ids import BATCH_LEVEL
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.pipeline.essays import record_attempt
from huleedu_dagster.reports.batch import batch_html
from huleedu_dagster.reports.batch_content import BatchReport
from huleedu_dagster.reports.sheets import sheet_html, sheets_of
from huleedu_dagster.spelling.port import (
    Confidence,
    Correction,
    Reason,
    SpellcheckReport,
    SpellingOptions,
)
from tests.intake.served import LIMITS, Served, serving
from tests.support.workshop import Workshop

ESSAY = (
    "The sea.\n\nThis essay is about teh sea, and teh ships beleive in it. Nobody knows why the "
    "Grmpf went down.\n\nThe end of it is near, and the words are over."
)
SWEDISH = "Havet.\n\nDen här uppsatsen handlar om havett och båtarna på det. Slutet är nära."
ARABIC = "البحر واسع.\n\nهذه القصة عن البحار والسفن, وفيها 12 سفينة. The end."
LONG_NAME = f"Export of the course/{'a-long-name-' * 12}end.txt"

PAGES = {
    "hand in": "/",
    "older batches": "/?page=2",
    "batch without essays": "/batches/empty",
    "batch that takes essays": "/batches/open",
    "batch that is worked on": "/batches/worked-on",
    "batch with everything wrong": "/batches/incomplete",
    "batch that could not be finished": "/batches/unfinished",
    "batch that is released": "/batches/released",
    "essay with marks": "/batches/released/essays/e001",
    "essay in another language": "/batches/svenska/essays/e001",
    "essay from right to left": "/batches/arabic/essays/e001",
    "essay that waits": "/batches/open/essays/e002",
    "essay that was rejected": "/batches/incomplete/essays/e003",
    "essay that is a dead letter": "/batches/incomplete/essays/e004",
    "nothing there": "/batches/nowhere",
    "values that are not allowed": "/?page=0",
}
"""What can be looked at by its address alone, and by whoever may do everything."""

_FLAGGED = {
    "teh": (("the", "tea"), Confidence.CERTAIN, Reason.ONLY_CANDIDATE),
    "البحار": (("البحر",), Confidence.LIKELY, Reason.ONE_EDIT),
    "havett": (("havet",), Confidence.CERTAIN, Reason.ONLY_CANDIDATE),
    "beleive": (("believe", "relieve"), Confidence.LIKELY, Reason.FAR_MORE_COMMON),
    "Grmpf": ((), Confidence.UNSURE, Reason.NO_CANDIDATE),
}


class EverySpeller:
    """A `Speller` that flags with every confidence, and in every language."""

    version = "every"
    languages = frozenset({"en", "sv", "ar"})

    def check(self, text: str, options: SpellingOptions) -> SpellcheckReport:
        """See `Speller.check`."""
        found = [
            Correction(begin, len(word), word, *said, applied=False)
            for word, said in _FLAGGED.items()
            for begin in _places(text, word)
        ]
        found.sort(key=lambda it: it.offset)
        return SpellcheckReport(text, tuple(found), len(text.split()))


def reports_of(shop: Workshop) -> dict[str, str]:
    """Pages of reports, without and with the essays, and of sheets."""
    found = {}
    for batch_id in ("empty", "incomplete", "svenska", "arabic"):
        facts = shop.facts(batch_id)
        report = BatchReport.of(facts, shop.blobs)
        sheets = list(sheets_of(facts, report, shop.blobs))
        found[f"report of {batch_id} with its essays"] = batch_html(report, sheets)
        if batch_id == "incomplete":
            found[f"report of {batch_id}"] = batch_html(report)
            found |= {f"sheet of {it.slot}": sheet_html(it) for it in (sheets[0], sheets[2])}
    return found


def _places(text: str, word: str) -> list[int]:
    return [it for it in range(len(text)) if text.startswith(word, it)]


@contextmanager
def exhibition(folder: Path) -> Iterator[Served]:
    """Serve all of them until the block ends."""
    with serving(folder, replace(LIMITS, max_files=100)) as served:
        shop = served.shop
        pipeline = shop.pipeline_with(speller=EverySpeller())
        _older(shop)
        shop.register("empty")
        _incomplete(shop)
        _released(shop)
        shop.register("svenska", settings=BatchSettings(language="sv"), expected=1)
        shop.receive("uppsats.txt", SWEDISH.encode(), batch_id="svenska")
        shop.register("arabic", settings=BatchSettings(language="ar"), expected=1)
        shop.receive("قصة.txt", ARABIC.encode(), batch_id="arabic")
        shop.register("unfinished", expected=1)
        shop.receive("a.txt", batch_id="unfinished")
        shop.register("open", expected=5)
        shop.receive("Anna/essay.txt", batch_id="open")
        shop.process_pending(pipeline=pipeline)
        _after(shop)
        yield served


def _older(shop: Workshop) -> None:
    for number in range(21):
        shop.register(f"older-{number:02d}")
        shop.clock.advance(60)


def _incomplete(shop: Workshop) -> None:
    """Accepted, the same once more, rejected, and later: stuck, missing, waived and late ones."""
    shop.register("incomplete", expected=7)
    shop.receive(LONG_NAME, ESSAY.encode(), batch_id="incomplete")
    shop.receive("copy.txt", ESSAY.encode(), batch_id="incomplete")
    shop.receive("empty.txt", b"", batch_id="incomplete")


def _released(shop: Workshop) -> None:
    lifecycle.register(
        shop.ledger,
        "released",
        settings=BatchSettings(),
        expected_essay_count=2,
        class_name="9B",
        course="English 6",
    )
    shop.receive("Anna/essay.txt", f"{ESSAY} Anna.".encode(), batch_id="released")
    shop.receive("Bilal/essay.txt", f"{ESSAY} Bilal.".encode(), batch_id="released")
    shop.receive("Cleo/essay.txt", f"{ESSAY} Cleo.".encode(), batch_id="released")


def _after(shop: Workshop) -> None:
    """What comes when the first essays have their results."""
    shop.release("released")
    shop.receive("stuck.txt", ESSAY.encode() + b" Stuck.", batch_id="incomplete")
    for number in range(3):
        shop.pipeline.record_failure(
            shop.essay("e004", batch_id="incomplete"), run_id=f"run-{number}", error=OSError()
        )
    shop.close("incomplete", ClosedBy.DEADLINE)
    lifecycle.waive(shop.ledger, "incomplete", "e005", "ill on the day")
    shop.receive("late.txt", ESSAY.encode() + b" Late.", batch_id="incomplete")
    for number in range(3):
        record_attempt(
            shop.ledger,
            "unfinished",
            BATCH_LEVEL,
            run_id=f"run-{number}",
            reason="OSError",
            max_attempts=3,
        )
    shop.receive("Bilal/essay.txt", ESSAY.encode(), batch_id="open")
    shop.register("worked-on", expected=3)
    shop.receive("a.txt", ESSAY.encode(), batch_id="worked-on")
    shop.close("worked-on")
