"""Working over again what is stored: on demand, from the raw bytes on, as far as there is news.

What the current code and settings have a result for is not computed again, so that nothing
changes unless they did; a rejection that was transient is tried again. An essay keeps its outcome
until there is another, and a released batch stays released.
"""

from collections.abc import Collection, Mapping

from huleedu_dagster.domain.actions import Action
from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.ledger.records import DeadLetterState, Essay, StageRecord
from huleedu_dagster.pipeline.essay_views import UnknownEssayError
from huleedu_dagster.pipeline.stages import EssayWork, Tools
from huleedu_dagster.pipeline.views import BatchFacts


def reprocess(
    ledger: Ledger, batch_id: str, slots: Collection[str] | None = None
) -> tuple[str, ...]:
    """Let essays be worked over again; those that wait for their outcome already go on waiting.

    A dead letter is replayed. Nothing is computed here.

    Args:
        ledger: Where it is asked for.
        batch_id: The batch.
        slots: The slots; all of the batch if `None`.

    Returns:
        The slots that were asked for, in order.

    Raises:
        UnknownBatchError: The batch is not registered.
        UnknownEssayError: One of the slots holds no essay; nothing was asked for.
    """
    with ledger.write() as tx:
        tx.batches.get(batch_id, lock=True)
        found = {it.slot: it for it in tx.essays.of_batch(batch_id)}
        wanted = tuple(sorted(found if slots is None else set(slots)))
        for slot in wanted:
            if slot not in found:
                raise UnknownEssayError(slot)
        asked = [slot for slot in wanted if _ask(tx, found[slot])]
        if asked:
            only = asked[0] if len(asked) == 1 else None
            tx.actions.record(Action.REPROCESSED, batch_id=batch_id, slot=only, amount=len(asked))
    return wanted


def _ask(tx: Transaction, essay: Essay) -> bool:
    """Ask for an essay; returns whether it is to be worked over, and was not waiting anyway."""
    batch_id, slot = essay.upload.batch_id, essay.slot
    if tx.failures.resolve(batch_id, slot, DeadLetterState.REPLAYED):
        tx.essays.set_attempts(batch_id, slot, 0, essay.generation + 1)
        tx.essays.wait_again(batch_id, slot)
        tx.batches.touch(batch_id)
        tx.actions.record(Action.REPLAYED, batch_id=batch_id, slot=slot)
        return False
    if essay.pending:
        return False
    tx.essays.ask_again(batch_id, slot)
    return True


def is_reprocessing(ledger: Ledger, batch_id: str) -> bool:
    """Whether essays of a batch are still to be worked over again."""
    with ledger.read() as tx:
        return any(it.reprocess is not None for it in tx.essays.of_batch(batch_id))


def stale_slots(ledger: Ledger, batch_id: str, tools: Tools) -> list[str]:
    """The slots whose results are of other code or settings than the current ones, in order.

    Args:
        ledger: Where the results are.
        batch_id: The batch.
        tools: Their versions are the current ones; nothing else of them is used.

    Raises:
        UnknownBatchError: The batch is not registered.
    """
    with ledger.read() as tx:
        facts = BatchFacts.read(tx, batch_id)
    settings = facts.batch.registration.settings
    stale = []
    for essay in facts.essays:
        records = facts.records.get(essay.slot, {})
        if not essay.pending and _is_stale(EssayWork(tools, settings, essay, records), records):
            stale.append(essay.slot)
    return stale


def _is_stale(work: EssayWork, records: Mapping[Stage, StageRecord]) -> bool:
    order = [stage for stage in Stage if stage in records]
    return any(work.key(stage) != records[stage].materialization_key for stage in order)
