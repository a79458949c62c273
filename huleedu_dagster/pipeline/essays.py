"""One essay's way: run what is not done, commit outcome and events together, count failures.

Order of writing: blobs, then ledger and outbox in one transaction; Dagster's events come after,
from what is returned here.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass

from huleedu_dagster.domain.events import EssayValidationFailedV1
from huleedu_dagster.domain.ids import BATCH_LEVEL
from huleedu_dagster.domain.outcomes import Stage, StageOutcome
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.ledger.metrics import essay_outcome
from huleedu_dagster.ledger.records import DeadLetterState, Essay, StageRecord
from huleedu_dagster.pipeline.facts import events_of
from huleedu_dagster.pipeline.stages import EssayWork, Tools


class NotReproducibleError(Exception):
    """A forced recomputation gave another result under the same materialization key."""


class SupersededError(Exception):
    """A newer version of the essay arrived while this one was processed."""


@dataclass(frozen=True, slots=True)
class EssayResult:
    """What a pass made of one essay.

    Attributes:
        generation: Of the essay with these results; another one has others, as far as is known.
        records: The record of every stage up to the last that was asked for.
        computed: Stages whose work was done now; the others were done before under their key.
        duration_ms: How long the pass took, milliseconds.
    """

    slot: str
    generation: int
    records: Mapping[Stage, StageRecord]
    computed: frozenset[Stage]
    duration_ms: int = 0


class EssayPipeline:
    """Takes essays through their stages; safe to share between threads.

    Args:
        ledger: Where outcomes go.
        tools: Stores and engines.
        max_attempts: Failures of infrastructure after which an essay becomes a dead letter.
    """

    def __init__(self, ledger: Ledger, tools: Tools, *, max_attempts: int) -> None:
        self.ledger = ledger
        self.tools = tools
        self._max_attempts = max_attempts

    def process(
        self,
        settings: BatchSettings,
        essay: Essay,
        stages: Set[Stage] = frozenset(Stage),
        *,
        force: bool = False,
    ) -> EssayResult:
        """Take one essay through stages.

        A stage that was not asked for is taken from the ledger; if it has no outcome yet, it is
        run too, since what is asked for cannot be had without it.

        Args:
            settings: The batch's settings.
            essay: The slot and its current upload.
            stages: The stages wanted.
            force: Compute again what is done; it must come out the same.

        Raises:
            NotReproducibleError: A forced result differs from the stored one.
            SupersededError: A newer version arrived meanwhile.
            BlobStoreError: A stored input is missing or damaged.
            OSError: The store or the extractor cannot be reached.
            sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
        """
        started = time.perf_counter()
        upload = essay.upload
        with self.ledger.read() as tx:
            known = tx.outcomes.known(upload.batch_id, essay.slot)
        done = {(it.stage, it.materialization_key): it for it, _ in known if not it.transient}
        kept = {
            it.stage: it for it, current in known if current and it.upload_id == upload.upload_id
        }
        work = EssayWork(self.tools, settings, essay, {})
        computed: list[StageRecord] = []
        whole = False
        generation = essay.generation
        try:
            for stage in _up_to_last(stages):
                if stage not in stages and stage in kept:
                    work.records[stage] = kept[stage]
                    continue
                stored = done.get((stage, work.key(stage)))
                if stored is not None and not force:
                    work.records[stage] = stored
                    continue
                record = work.run(stage)
                if stored is not None:
                    # The stored result stands; what came out now is only compared with it.
                    work.records[stage] = stored
                _check_reproduced(stored, record)
                computed.append(record)
            whole = True
        finally:
            # What was reached before a failure is kept: the next attempt starts from there.
            stale = [it for it in work.records.values() if kept.get(it.stage) != it]
            if computed or stale or essay.pending:
                outcome = essay_outcome({**kept, **work.records})
                generation = self._commit(
                    settings, essay, work, computed, whole=whole, outcome=outcome
                )
        duration_ms = round((time.perf_counter() - started) * 1000)
        stages_computed = frozenset(it.stage for it in computed)
        return EssayResult(essay.slot, generation, work.records, stages_computed, duration_ms)

    def mark_shown(
        self,
        batch_id: str,
        told: Collection[EssayResult],
        whole: Collection[str],
        reprocessed: Iterable[Essay] = (),
    ) -> None:
        """Note that Dagster has stored the events of these results.

        Called after the events, so that a crash in between leaves the slots due: the next run
        emits what is done without computing it. A slot of which another run has recorded something
        meanwhile is due again: nobody knows whose events Dagster stored last.

        Args:
            batch_id: Their batch.
            told: The results.
            whole: The slots of which it has all stages now, or had the others before.
            reprocessed: Those of these essays that were worked over, as they were before that.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
        """
        if told:
            with self.ledger.write() as tx:
                tx.batches.get(batch_id, lock=True)
                for essay in reprocessed:
                    tx.essays.end_reprocessing(essay)
                generations = {it.slot: it.generation for it in told}
                shown = {slot: it for slot, it in generations.items() if slot in whole}
                tx.essays.mark_shown(batch_id, shown)
                tx.essays.mark_overtaken(batch_id, generations)

    def stored(self, essay: Essay) -> EssayResult:
        """What the ledger holds of one essay; nothing is computed.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
        """
        upload = essay.upload
        with self.ledger.read() as tx:
            current = tx.outcomes.current(upload.batch_id, essay.slot)
        records = {it.stage: it for it in current if it.upload_id == upload.upload_id}
        # The generation is read before the records: they may be later than it says, not earlier.
        return EssayResult(essay.slot, essay.generation, records, frozenset())

    def record_failure(self, essay: Essay, *, run_id: str, error: BaseException) -> bool:
        """Count a failure of infrastructure; at the limit the essay becomes a dead letter.

        Args:
            essay: The slot that failed.
            run_id: The run it failed in; a run counts once.
            error: What happened; only the name of its class is kept.

        Returns:
            Whether the essay became a dead letter.
        """
        return record_attempt(
            self.ledger,
            essay.upload.batch_id,
            essay.slot,
            run_id=run_id,
            reason=type(error).__name__,
            max_attempts=self._max_attempts,
            upload_id=essay.upload.upload_id,
        )

    def _commit(
        self,
        settings: BatchSettings,
        essay: Essay,
        work: EssayWork,
        computed: list[StageRecord],
        *,
        whole: bool,
        outcome: StageOutcome | None,
    ) -> int:
        """Record what a pass made of an essay; returns the essay's generation after that."""
        batch_id, slot = essay.upload.batch_id, essay.slot
        with self.ledger.write() as tx:
            tx.batches.get(batch_id, lock=True)
            stored = tx.essays.in_slot(batch_id, slot)
            if stored is None or stored.upload.upload_id != essay.upload.upload_id:
                raise SupersededError("a newer version of the essay arrived")
            new = [it for it in computed if work.records[it.stage] is it]
            if stored.generation != essay.generation:
                # Somebody else was at work on it meanwhile, and has counted what is recorded now.
                new = [it for it in new if not tx.outcomes.has(it)]
            if not whole and not stored.pending:
                # Kept for the next attempt; the outcome that there is stands until it is another.
                tx.outcomes.keep(*computed)
                tx.metrics.count_pass(essay.upload, new, awaited=False)
                return stored.generation
            written = tx.outcomes.record(*work.records.values())
            if written:
                # Else another process did the same at the same time, and has counted it.
                tx.metrics.count_pass(essay.upload, new, awaited=stored.pending)
            has_all = Stage.SPELLCHECK_RESULT in work.records
            has_ended = has_all or tx.outcomes.has_ended(essay.upload, slot)
            for event in events_of(essay, work.records, settings):
                if not has_ended and isinstance(event, EssayValidationFailedV1):
                    # It is still to have its outcome, maybe another one and on another day; a dead
                    # letter has none either.
                    continue
                tx.outbox.publish(
                    event,
                    correlation_id=essay.upload.correlation_id,
                    batch_id=batch_id,
                    slot=slot,
                )
            # A dead letter of a slot that does not wait may be recovered by a backfill.
            ended = has_all and (
                tx.failures.resolve(batch_id, slot, DeadLetterState.RECOVERED) or stored.pending
            )
            if ended or written:
                tx.essays.note_outcome(batch_id, slot, ended=ended, news=written, outcome=outcome)
                tx.batches.touch(batch_id)
                return stored.generation + 1
            return stored.generation


def record_attempt(
    ledger: Ledger,
    batch_id: str,
    slot: str,
    *,
    run_id: str,
    reason: str,
    max_attempts: int,
    upload_id: str | None = None,
) -> bool:
    """Count a failed attempt at an essay, or at a batch's closing work (`BATCH_LEVEL`).

    Args:
        ledger: Where it is counted.
        batch_id: The batch.
        slot: The essay's slot, or `BATCH_LEVEL`.
        run_id: The run that failed; it counts once.
        upload_id: The version that failed; a failure of an older one is written down, so that the
            run is known to have told of it, and not counted.
        reason: Name of an error class or of what ended the run; no text from anywhere else.
        max_attempts: Attempts after which a dead letter is written.

    Returns:
        Whether this attempt ended in a dead letter.
    """
    with ledger.write() as tx:
        batch = tx.batches.get(batch_id, lock=True)
        essay = None if slot == BATCH_LEVEL else tx.essays.in_slot(batch_id, slot)
        if essay is None and slot != BATCH_LEVEL:
            return False
        counter = essay or batch
        news = tx.failures.add_attempt(
            batch_id, slot, run_id=run_id, generation=counter.generation, reason=reason
        )
        if essay is not None and upload_id not in (None, essay.upload.upload_id):
            return False
        if not news or (essay is not None and not essay.due):
            # An essay that has its outcome keeps it when a later recomputation fails.
            return False
        count = counter.attempts + 1
        correlation = (essay.upload if essay else batch.registration).correlation_id
        if essay is None:
            tx.batches.set_attempts(batch_id, count, batch.generation)
        else:
            tx.essays.set_attempts(batch_id, slot, count, essay.generation)
        # Counted, so that the next run has another key; what is done is no dead letter.
        if count < max_attempts:
            return False
        if essay is not None and not essay.pending:
            # Dagster was told often enough; a backfill of the cell emits it when it works again.
            tx.essays.give_up(batch_id, slot)
            return False
        tx.failures.add_dead_letter(
            batch_id,
            slot,
            generation=counter.generation,
            reason=reason,
            attempts=count,
            correlation_id=correlation,
        )
        if essay is not None:
            tx.essays.give_up(batch_id, slot)
            tx.batches.touch(batch_id)
        return True


def _up_to_last(stages: Set[Stage]) -> tuple[Stage, ...]:
    order = tuple(Stage)
    return order[: max((order.index(stage) + 1 for stage in stages), default=0)]


def _check_reproduced(known: StageRecord | None, record: StageRecord) -> None:
    if known is not None and known.data_version != record.data_version:
        raise NotReproducibleError(f"{record.stage} differs from its stored result")
