"""Where a received file goes: a new slot, a new version, excess or late. A pure rule."""

from datetime import datetime
from enum import StrEnum

from huleedu_dagster.domain.completeness import ClosedBy, closing_moment
from huleedu_dagster.domain.registration import Registration


class Placement(StrEnum):
    """Where a file goes."""

    NEW_ESSAY = "new_essay"
    NEW_VERSION = "new_version"
    EXCESS = "excess"
    LATE = "late"


def place(
    registration: Registration,
    *,
    closed_by: ClosedBy | None,
    taken: int,
    max_slots: int,
    holds_slot: bool,
    now: datetime,
) -> Placement:
    """Decide where a file goes.

    A full batch still takes new versions of its essays until its deadline; of several versions
    the latest before the deadline counts. Whatever comes when the batch was closed otherwise, or
    after its deadline, is late.

    Args:
        registration: The batch.
        closed_by: Why it is closed, `None` while it is open.
        taken: Number of slots taken.
        max_slots: Slots a batch may have at most.
        holds_slot: Whether the file's path holds a slot already.
        now: When the file was received, in UTC.
    """
    moment = closing_moment(registration)
    over = closed_by not in (None, ClosedBy.FULL) or (moment is not None and now >= moment)
    if holds_slot:
        return Placement.LATE if over else Placement.NEW_VERSION
    if taken >= min(registration.slots, max_slots):
        return Placement.EXCESS
    return Placement.LATE if over or closed_by is not None else Placement.NEW_ESSAY
