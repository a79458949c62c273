"""Tags of the runs that the sensors ask for, by which the failure sensor knows them again."""

from enum import StrEnum

BATCH_TAG = "huleedu/batch"
KIND_TAG = "huleedu/kind"


class RunKind(StrEnum):
    """What a run does."""

    ESSAYS = "essays"
    CLOSING = "closing"
