"""Runs that ended before they began: their work is asked for again, and no attempt is counted.

Nobody tried it: no worker took the run in time, it was canceled in the queue, or its process died
before it said that it had begun, which is before it reads anything of an essay. So this is never an
essay's fault, and there is no number of such runs after which an essay becomes a dead letter.
"""

from collections.abc import Iterable
from datetime import timedelta

from dagster import DagsterRun

from huleedu_dagster.domain.ids import BATCH_LEVEL
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.ledger.records import Essay
from huleedu_dagster.sensors.lines import log_never_began
from huleedu_dagster.sensors.tags import BATCH_TAG, KIND_TAG, RunKind, slots_of

_REASON = "run never began"
_LATELY = timedelta(hours=1)
_AT_ONCE = 2
_FIRST_PAUSE = timedelta(minutes=1)
_MOST_DOUBLED = 4
_LONGEST_PAUSE = timedelta(minutes=15)


def ask_anew(ledger: Ledger, run: DagsterRun) -> bool:
    """Ask again for what a run was to do, once for each run.

    Args:
        ledger: Where it is asked for.
        run: A run of a sensor that never began.

    Returns:
        Whether that is done. Else it is too early: runs of this batch keep ending like this.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
    """
    batch_id = run.tags[BATCH_TAG]
    with ledger.write() as tx:
        if tx.batches.find(batch_id, lock=True) is None:
            return True
        before = tx.failures.runs_of_reason(batch_id, _REASON, since=tx.now - _LATELY)
        if run.run_id in before:
            return True
        # On two machines with two clocks the last may be in the future, and is no reason to wait.
        if before and abs(tx.now - max(before.values())) < _pause(len(before)):
            return False
        if run.tags.get(KIND_TAG) == RunKind.ESSAYS:
            corr_ids = _ask_for_essays(tx, batch_id, run)
        else:
            corr_ids = _ask_for_closing(tx, batch_id, run)
    log_never_began(batch_id, run.run_id, corr_ids)
    return True


def _pause(runs: int) -> timedelta:
    """How long after the last of so many runs the next one may be asked for."""
    if runs < _AT_ONCE:
        return timedelta()
    doubled = min(runs - _AT_ONCE, _MOST_DOUBLED)
    return min(_FIRST_PAUSE * (1 << doubled), _LONGEST_PAUSE)


def _ask_for_essays(tx: Transaction, batch_id: str, run: DagsterRun) -> Iterable[str]:
    """Give what is still due of the slots of a run another key; what they came under."""
    wanted = set(slots_of(run))
    essays = [it for it in tx.essays.of_batch(batch_id) if it.slot in wanted]
    return {it.upload.correlation_id for it in essays if _ask_for(tx, batch_id, it, run)}


def _ask_for(tx: Transaction, batch_id: str, essay: Essay, run: DagsterRun) -> bool:
    news = _note(tx, batch_id, essay.slot, run, essay.generation)
    if news and essay.due:
        tx.essays.mark_due(batch_id, essay.slot)
    return news and essay.due


def _ask_for_closing(tx: Transaction, batch_id: str, run: DagsterRun) -> Iterable[str]:
    """Give the closing work of a batch another key; what the batch came under."""
    batch = tx.batches.get(batch_id)
    if not _note(tx, batch_id, BATCH_LEVEL, run, batch.generation):
        return ()
    # Its attempts stay what they are.
    tx.batches.set_attempts(batch_id, batch.attempts, batch.generation + 1)
    return (batch.registration.correlation_id,)


def _note(tx: Transaction, batch_id: str, slot: str, run: DagsterRun, generation: int) -> bool:
    """Write down that a run never began, once; it is shown with the attempts."""
    return tx.failures.add_attempt(
        batch_id, slot, run_id=run.run_id, generation=generation, reason=_REASON
    )
