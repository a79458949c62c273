"""Runs that the sensors ask for, and how they know them again: tags and configuration."""

from enum import IntEnum, StrEnum
from typing import Any

from dagster import DagsterRun

from huleedu_dagster.assets.essays import OP_NAME

BATCH_TAG = "huleedu/batch"
KIND_TAG = "huleedu/kind"
CORRELATION_TAG = "huleedu/correlation_id"


class RunKind(StrEnum):
    """What a run does."""

    ESSAYS = "essays"
    CLOSING = "closing"


class Priority(IntEnum):
    """Which runs leave the queue first; among equals, those that came first."""

    AGAIN = -1
    """Essays that have an outcome and are worked over again."""
    AWAITED = 0
    """Essays that have no outcome yet."""
    CLOSING = 1
    """Short, and a class that is done gets its report before the essays of others begin."""


def run_tags(
    batch_id: str, kind: RunKind, priority: Priority, correlation_id: str = ""
) -> dict[str, str]:
    """The tags of a run that a sensor asks for, by which an operator finds it on Dagster's pages.

    Args:
        batch_id: The batch it is about.
        kind: What it does.
        priority: When it leaves the queue.
        correlation_id: The one request that it is about; empty if there are several.
    """
    tags = {
        BATCH_TAG: batch_id,
        KIND_TAG: kind.value,
        "dagster/priority": str(priority.value),
    }
    return {**tags, CORRELATION_TAG: correlation_id} if correlation_id else tags


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
