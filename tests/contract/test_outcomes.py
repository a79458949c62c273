"""The outcomes of an essay go to the ledger together: the same rows, and few questions."""

from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.ledger.records import StageRecord
from tests.contract.test_ledger import EXCESS, fill, outcome
from tests.support.ledger import from_ledger
from tests.support.workshop import Workshop

_MOST_STATEMENTS = 12
"""For one new essay, beside beginning and ending transactions; on Postgres each is a round trip."""


def of_stages(key: str = "k") -> list[StageRecord]:
    """An outcome of each stage."""
    return [replace(outcome(key=f"{key} {it}"), stage=it) for it in Stage]


def record(ledger: Ledger, *records: StageRecord) -> bool:
    with ledger.write() as tx:
        return tx.outcomes.record(*records)


def current(ledger: Ledger) -> dict[Stage, str]:
    """Keys of the current outcomes."""
    found = from_ledger(ledger, lambda tx: tx.outcomes.current("a", "e001"))
    return {it.stage: it.materialization_key for it in found}


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """A ledger with an essay."""
    with ledger.write() as tx:
        fill(tx)
    return ledger


def test_outcomes_recorded_together_are_all_current_and_a_repeat_is_no_news(filled: Ledger) -> None:
    assert not record(filled)
    assert record(filled, *of_stages())
    assert current(filled) == {it: f"k {it}" for it in Stage}
    assert not record(filled, *of_stages())


def test_of_outcomes_recorded_together_only_what_differs_is_written(filled: Ledger) -> None:
    first, second = of_stages(), of_stages("l")
    record(filled, *first)
    assert record(filled, *first[:3], second[3])
    assert current(filled)[Stage.SPELLCHECK_RESULT] == f"l {Stage.SPELLCHECK_RESULT}"
    assert record(filled, *first), "what was current before is so again"
    assert current(filled) == {it: f"k {it}" for it in Stage}
    known = from_ledger(filled, lambda tx: tx.outcomes.known("a", "e001"))
    assert [it.materialization_key for it, is_current in known if not is_current] == [
        f"l {Stage.SPELLCHECK_RESULT}"
    ]


def test_a_transient_outcome_among_others_is_replaced_and_the_others_stay(filled: Ledger) -> None:
    first = of_stages()
    first[1] = replace(first[1], transient=True, data_version="for now")
    record(filled, *first)
    again = [replace(it, data_version="later") for it in of_stages()]
    assert record(filled, *again)
    found = from_ledger(filled, lambda tx: tx.outcomes.current("a", "e001"))
    versions = {it.stage: it.data_version for it in found}
    assert versions.pop(Stage.EXTRACTED_PLAINTEXT) == "later"
    assert set(versions.values()) == {outcome().data_version}


def test_a_new_essay_costs_the_ledger_few_questions(ledger: Ledger, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, ledger=ledger)
    workshop.register()
    workshop.receive("a.txt")
    essay = workshop.essay()
    settings = workshop.facts().batch.registration.settings
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        workshop.pipeline.process(settings, essay)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert 0 < len(asked) <= _MOST_STATEMENTS, asked


def test_events_of_one_transaction_are_numbered_in_the_order_of_their_facts(ledger: Ledger) -> None:
    uploads = [f"{number:032x}" for number in range(60)]
    for batch in ("a", "b"):
        with ledger.write() as tx:
            for it in uploads:
                event = EXCESS.model_copy(update={"upload_id": it, "batch_id": batch})
                tx.outbox.publish(event, correlation_id="0" * 36, batch_id=batch)
    with ledger.read() as tx:
        told = [envelope["data"] for _, envelope in tx.outbox.envelopes()]
    assert [(it["batch_id"], it["upload_id"]) for it in told] == [
        (batch, it) for batch in ("a", "b") for it in uploads
    ]
