"""Released batches leave Dagster's pages: the keys of their partitions are removed, nothing else.

What is stored of them stays: blobs, the ledger and Dagster's events. A batch in which something
happens again (a late file, another version, reprocessing) is given its partition back by the
sensors, and everything that was shown of it is shown again.
"""

from datetime import datetime
from typing import TYPE_CHECKING

from huleedu_dagster.domain.actions import Action
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.partitions import BATCH_DIMENSION

if TYPE_CHECKING:
    from dagster import DagsterInstance

_AT_ONCE = 100
"""Batches after which it is asked whether there is news of them."""


def to_archive(instance: "DagsterInstance", ledger: Ledger, before: datetime) -> list[str]:
    """Released batches of which nothing was heard since a moment and that Dagster still shows.

    Args:
        instance: Where they are shown.
        ledger: Where it is known what became of them.
        before: The moment, in UTC.

    Returns:
        Their ids, in order.
    """
    with ledger.read() as tx:
        done = tx.batches.done_before(before)
    shown = instance.get_existing_dynamic_partitions(BATCH_DIMENSION, done)
    return [it for it in done if it in shown]


def archive(instance: "DagsterInstance", ledger: Ledger, before: datetime) -> list[str]:
    """Remove the partitions of such batches; a repeat finds none of them.

    Args:
        instance: Where they are shown.
        ledger: Where it is known what became of them.
        before: The moment, in UTC.

    Returns:
        Ids of the batches that were removed, in order.
    """
    found = to_archive(instance, ledger, before)
    archived: list[str] = []
    for first in range(0, len(found), _AT_ONCE):
        some = found[first : first + _AT_ONCE]
        for batch_id in some:
            instance.delete_dynamic_partition(BATCH_DIMENSION, batch_id)
        with ledger.read() as tx:
            done = set(tx.batches.done_before(before, among=some))
        # A sensor that heard news of one in between may have seen its partition and asked for runs.
        if back := [it for it in some if it not in done]:
            instance.add_dynamic_partitions(BATCH_DIMENSION, back)
        gone = [it for it in some if it in done]
        # After the deed, which Dagster does not do in our transactions: nothing is told too early.
        with ledger.write() as tx:
            for batch_id in gone:
                tx.actions.record(Action.ARCHIVED, batch_id=batch_id)
        archived += gone
    return archived
