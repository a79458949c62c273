"""A week of batches with faults: the reports say what was done, on every database."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from huleedu_dagster.domain.access import Scope, hash_token, new_token
from huleedu_dagster.domain.actions import Action
from huleedu_dagster.domain.events import (
    BatchEssaysReady,
    EssayValidationFailedV1,
    EventData,
    SpellCheckCompletedV1,
)
from huleedu_dagster.domain.outcomes import Code, Stage, StageOutcome
from huleedu_dagster.ledger.audit_facts import Days, fact_names
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.ledger.tables import (
    actions,
    batches,
    dead_letters,
    outbox,
    releases,
    stage_outcomes,
    uploads,
)
from huleedu_dagster.reports.audit_checks import parts_that_do_not_add_up, recounted_agree
from huleedu_dagster.reports.audit_content import AuditContent
from huleedu_dagster.reports.figures import Spread
from tests.support.fakes import ManualClock
from tests.support.week import FAULTS, MONDAY, Tally, Week
from tests.support.workshop import Workshop

SEED = 20_260_302
TEACHER = "nine a"
TUESDAY = MONDAY + timedelta(days=1)
"""Of the journal's first day nobody can say what is missing."""


class Lived:
    """A week that is over, with the version of each day's report at its own midnight."""

    def __init__(self, ledger: Ledger, clock: ManualClock, folder: Path, batches: int) -> None:
        clock.now = MONDAY
        shop = Workshop(folder, ledger=ledger)
        shop.clock = clock
        self.ledger = ledger
        with ledger.write() as tx:
            token = tx.tokens.create(TEACHER, [Scope.UPLOAD], hash_token(new_token()))
        self.token = token.token_id
        self.week = Week(shop, seed=SEED, batches=batches, token=self.token)
        self.versions: dict[date, str] = {}
        self.week.live(self.note)

    def note(self, day: date) -> None:
        self.versions[day] = self.content(Days.one(day)).version

    def content(self, days: Days) -> AuditContent:
        with self.ledger.read() as tx:
            return AuditContent.read(tx, days)

    @property
    def all_days(self) -> Days:
        return Days(self.week.days[0], self.week.days[-1])

    def assert_told(self, days: Days, tally: Tally) -> AuditContent:
        """The report of some days is their tally, and passes every check."""
        content = self.content(days)
        told = {name: count for name, count in content.totals.items() if count}
        assert told == {name: count for name, count in tally.counts.items() if count}
        assert content.seconds == {
            "registration_to_release": percentiles(tally.completion),
            "last_file_to_release": percentiles(tally.since_last_file),
            "file_to_outcome": percentiles(tally.waited),
        }
        assert self.acts(content) == self.tallied_acts(tally)
        assert parts_that_do_not_add_up(content.as_json(), days) == []
        assert self.differing(days) == []
        return content

    def differing(self, days: Days) -> list[str]:
        """What is another number when it is counted again."""
        with self.ledger.read() as tx:
            return differing(tx, days)

    def acts(self, content: AuditContent) -> dict[tuple[str, str], int]:
        # The week begins with a token.
        return {
            (it.actor, it.action): it.amount
            for it in content.acts
            if it.action != Action.TOKEN_CREATED
        }

    def tallied_acts(self, tally: Tally) -> dict[tuple[str, str], int]:
        names = {self.token: TEACHER}
        return {(names.get(who, who), what): n for (who, what), n in tally.acts.items()}


def percentiles(values: Sequence[float]) -> Spread:
    """The same percentiles by another library."""
    if not values:
        return Spread(0, None, None, None, None, None)
    found = pd.Series(values).quantile([0.5, 0.9, 0.95, 0.99, 1.0], interpolation="linear")
    about: list[Any] = [pytest.approx(it, abs=0.002) for it in found]
    return Spread(len(values), *about)


def raw_counts(ledger: Ledger) -> dict[str, Any]:
    """What is in the tables, whenever it came."""
    files = sa.func.count(sa.distinct(stage_outcomes.c.upload_id))
    last = stage_outcomes.c.stage == Stage.SPELLCHECK_RESULT
    questions = {
        "registered": sa.select(sa.func.count()).select_from(batches),
        "received": sa.select(sa.func.count()).select_from(uploads),
        "received_bytes": sa.select(sa.func.sum(uploads.c.size)),
        "dead_letters": sa.select(sa.func.count()).select_from(dead_letters),
        "released": sa.select(sa.func.count()).select_from(releases),
        "outcomes": sa.select(files).where(last),
        "reprocessed": sa.select(sa.func.count() - files).where(last),
    }
    with ledger.read() as tx:
        return {name: int(tx.connection.execute(it).scalar_one()) for name, it in questions.items()}


def differing(tx: Transaction, days: Days) -> list[str]:
    return recounted_agree(tx.audit.totals(days.first, days.last), tx.audit.recount(days))


def hours_of(content: AuditContent) -> dict[tuple[int, str], int]:
    """Files and outcomes by the hour."""
    return {
        (it.hour.hour, name): count
        for it in content.hours
        for name, count in asdict(it).items()
        if name != "hour" and count
    }


def assert_true(lived: Lived) -> None:
    """Every day and the whole week are told as they were, then and now."""
    week = lived.week
    told = {day: lived.assert_told(Days.one(day), week.tallies[day]) for day in week.days}
    whole = lived.assert_told(lived.all_days, week.whole())
    summed: Counter[str] = Counter()
    for day, content in told.items():
        assert hours_of(content) == week.tallies[day].hours
        summed.update(content.totals)
    assert whole.totals == summed
    raw = raw_counts(lived.ledger)
    assert whole.totals["accepted"] + whole.totals["rejected"] == raw.pop("outcomes")
    assert {name: whole.totals[name] for name in raw} == raw
    # Each as it was told at its own midnight, whatever happened since.
    assert {day: it.version for day, it in told.items()} == lived.versions


@pytest.mark.slow
def test_a_week_of_fifty_batches_with_every_fault_is_told_as_it_was(
    ledger: Ledger, clock: ManualClock, tmp_path: Path
) -> None:
    lived = Lived(ledger, clock, tmp_path, batches=50)
    assert_true(lived)
    counts = lived.week.whole().counts
    assert len(FAULTS) < 50
    assert [it for it in fact_names(lived.all_days) if not counts[it]] == []
    assert len([it for it in counts if it.startswith("rejected_")]) >= 4


Tampering = Callable[[], Any]


def _one(table: sa.Table, key: sa.Column[Any], *where: sa.ColumnElement[bool]) -> Any:
    """One row of a table."""
    return key == sa.select(sa.func.min(key)).select_from(table).where(*where).scalar_subquery()


def _event(model: type[EventData]) -> Any:
    return sa.delete(outbox).where(
        _one(outbox, outbox.c.seq, outbox.c.event_type == model.event_type)
    )


def _outcome(*where: sa.ColumnElement[bool]) -> Any:
    last = stage_outcomes.c.stage == Stage.SPELLCHECK_RESULT
    row = _one(stage_outcomes, stage_outcomes.c.outcome_id, last, *where)
    return sa.update(stage_outcomes).where(row)


TAMPERINGS: dict[str, Tampering] = {
    "an outcome has another code": lambda: _outcome(stage_outcomes.c.code.is_not(None)).values(
        code=Code.NO_TEXT_LAYER
    ),
    "an outcome has more words": lambda: _outcome(stage_outcomes.c.code.is_(None)).values(
        details={"words": 1_000_000, "misspellings": 0}
    ),
    "an accepted essay is rejected": lambda: _outcome(stage_outcomes.c.code.is_(None)).values(
        outcome=StageOutcome.NOT_REACHED, code=Code.TOO_LARGE
    ),
    "an outcome is of another day": lambda: _outcome().values(
        recorded_at=MONDAY + timedelta(days=6)
    ),
    "a rejection has no event": lambda: _event(EssayValidationFailedV1),
    "an accepted essay has no event": lambda: _event(SpellCheckCompletedV1),
    "a release has no event": lambda: _event(BatchEssaysReady),
    "a release is gone": lambda: sa.delete(releases).where(
        _one(releases, releases.c.batch_id), releases.c.revision == 1
    ),
    "a file without a slot is gone": lambda: sa.delete(uploads).where(
        _one(
            uploads, uploads.c.upload_id, uploads.c.slot.is_(None), uploads.c.received_at >= TUESDAY
        )
    ),
    "an action is gone": lambda: sa.delete(actions).where(
        _one(
            actions,
            actions.c.action_id,
            actions.c.action == Action.RECEIVED,
            actions.c.acted_at >= TUESDAY,
        )
    ),
}
"""What somebody may do to a row; each is undone."""


class UndoneError(Exception):
    """Rolls a transaction back."""


def assert_tampering_is_found(lived: Lived) -> None:
    """What is changed before a report is written is found by counting once more."""
    days = lived.week.days
    spans = (Days.one(days[0]), Days(days[1], days[-2]), Days.one(days[-1]))
    found = {}
    for name, tampering in TAMPERINGS.items():
        with suppress(UndoneError), lived.ledger.write() as tx:
            assert tx.connection.execute(tampering()).rowcount == 1, name
            found[name] = any(differing(tx, it) for it in spans)
            raise UndoneError
    assert found == dict.fromkeys(TAMPERINGS, True)
    assert not any(lived.differing(it) for it in spans)


def test_a_week_of_a_few_batches_is_told_as_it_was_and_a_changed_row_is_found(
    ledger: Ledger, clock: ManualClock, tmp_path: Path
) -> None:
    lived = Lived(ledger, clock, tmp_path, batches=6)
    assert_true(lived)
    assert_tampering_is_found(lived)
