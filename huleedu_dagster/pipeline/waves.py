"""Which runs to ask for: a pure decision over what is pending.

Level-triggered: the same pending work gives the same run key again and again, until it has an
outcome or an attempt at it is counted. Nothing is new because the orchestrator does not know it.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from huleedu_dagster.domain.ids import slot_id, slot_number
from huleedu_dagster.domain.keys import hash_of, wave_run_key
from huleedu_dagster.ledger.records import Essay
from huleedu_dagster.pipeline.views import BatchFacts


@dataclass(frozen=True, slots=True)
class Wave:
    """The essays of one batch that are due, for one run.

    Attributes:
        slots: Slots to compute, in order.
        run_key: Equal for equal work.
        awaited: Whether one of them has no outcome yet; else all are worked over again.
    """

    batch_id: str
    slots: tuple[str, ...]
    run_key: str
    awaited: bool = True

    @property
    def first(self) -> str:
        """First slot of the range of cells that the run covers."""
        return self.slots[0]

    @property
    def last(self) -> str:
        """Last slot of the range of cells that the run covers."""
        return self.slots[-1]


def plan_waves(due: Iterable[Essay], *, pipeline_version: str) -> list[Wave]:
    """One wave for each batch with essays that are due.

    Args:
        due: Slots that a run has something to do for.
        pipeline_version: Version of the pipeline's code.
    """
    by_batch: dict[str, list[Essay]] = defaultdict(list)
    for essay in due:
        by_batch[essay.upload.batch_id].append(essay)
    waves = []
    for batch_id, members in by_batch.items():
        ordered = sorted(members, key=lambda it: it.slot)
        work = [(it.slot, it.upload.sha256, it.generation, it.attempts) for it in ordered]
        key = wave_run_key(batch_id, work, pipeline_version)
        awaited = any(it.pending for it in ordered)
        waves.append(Wave(batch_id, tuple(it.slot for it in ordered), key, awaited))
    return waves


def slots_up_to(last: str) -> list[str]:
    """All slot ids up to and with `last`: slots are added in order, without gaps."""
    return [slot_id(number) for number in range(1, slot_number(last) + 1)]


def closing_run_key(facts: BatchFacts, report_fingerprint: str, revision: int) -> str:
    """The run key of a batch's closing work.

    Facts that come back (a setting changed and changed back) are work again, and the key of the
    first time is taken; each change raises the batch's generation, so that theirs is another one.

    Args:
        facts: The batch.
        report_fingerprint: Hash of what there is to report.
        revision: The last released revision, 0 before the first.
    """
    batch = facts.batch
    return hash_of([batch.batch_id, report_fingerprint, revision, batch.generation, batch.attempts])
