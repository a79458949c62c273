"""All benchmarks. A new one is made in a module of its own and added here."""

from benchmarks import pipeline
from benchmarks.framework import Registry


def registry() -> Registry:
    """The registry with every benchmark of this project."""
    found = Registry()
    for benchmark in pipeline.benchmarks():
        found.add(benchmark)
    return found
