"""All benchmarks. A new one is made in a module of its own and added here."""

from benchmarks import extraction, extraction_pdf, intake, pipeline, spelling
from benchmarks.framework import Registry


def registry() -> Registry:
    """The registry with every benchmark of this project."""
    found = Registry()
    for module in (pipeline, extraction, extraction_pdf, spelling, intake):
        for benchmark in module.benchmarks():
            found.add(benchmark)
    return found
