"""Runs that the sensors ask for, and how they know them again: tags and configuration."""

from enum import StrEnum
from typing import Any

from dagster import DagsterRun

from huleedu_dagster.assets.essays import OP_NAME

BATCH_TAG = "huleedu/batch"
KIND_TAG = "huleedu/kind"


class RunKind(StrEnum):
    """What a run does."""

    ESSAYS = "essays"
    CLOSING = "closing"


def essay_run_config(slots: tuple[str, ...]) -> dict[str, Any]:
    """Configuration of a run that computes these slots."""
    return {"ops": {OP_NAME: {"config": {"slots": list(slots)}}}}


def slots_of(run: DagsterRun) -> list[str]:
    """The slots that a run of essays was asked to compute."""
    # A person may start a sensor's run again with another configuration; its tags stay.
    config: Any = run.run_config
    for name in ("ops", OP_NAME, "config"):
        config = config.get(name) or {}
    return list(config.get("slots") or [])
