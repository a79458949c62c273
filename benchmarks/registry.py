"""All benchmarks. A new one is made in a module of its own and added here."""

from benchmarks import (
    bookkeeping,
    extraction,
    extraction_pdf,
    intake,
    intake_latency,
    intake_memory,
    partitions,
    pipeline,
    pipeline_production,
    queue,
    resubmission,
    run_memory,
    spelling,
)
from benchmarks.framework import Registry

_MODULES = (
    bookkeeping,
    pipeline,
    pipeline_production,
    queue,
    run_memory,
    partitions,
    resubmission,
    extraction,
    extraction_pdf,
    spelling,
    intake,
    intake_latency,
    intake_memory,
)


def registry() -> Registry:
    """The registry with every benchmark of this project."""
    found = Registry()
    for module in _MODULES:
        for benchmark in module.benchmarks():
            found.add(benchmark)
    return found
