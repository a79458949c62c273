"""The process that feeds one reader; what kills it is seen by the one that started it.

Before each input the input is written down, after each one a line of the log: so nothing that is
known is lost with the process.
"""

import argparse
import random
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from huleedu_dagster.extraction.port import Extraction
from tests.fuzz.mutations import made, mutated
from tests.fuzz.seeds import READERS, seeds
from tests.fuzz.target import LIMITS, broken_promises

CPU_SECONDS = 10
_MEMORY = 2 * 1024**3
_PAGE_MIB = resource.getpagesize() / 1024**2
_AGAIN_EVERY = 64
# What is learned is kept and grows; long inputs would leave time for few.
_MOST_GUIDED_BYTES = 20_000
_NO_SIGNALS = ("segv", "bus", "abrt", "ill", "fpe", "int", "term", "xfsz")


class Feeder:
    """Gives inputs to an extractor and keeps the log."""

    def __init__(
        self, folder: Path, extract: Callable[[bytes], Extraction], *, guarded: bool
    ) -> None:
        self._extract = extract
        self._guarded = guarded
        # In the sandbox the time is another process's.
        self._clock = time.perf_counter if guarded else time.process_time
        self._current = folder / "current"
        self._broken = folder / "broken"
        self._log = (folder / "log").open("a", encoding="utf-8", buffering=1)
        self._count = 0

    def feed(self, data: bytes) -> None:
        """Extract one input, check the result, and write a line about it."""
        self._current.write_bytes(data)
        begun, milliseconds = self._clock(), 0.0
        problems, code = [], "raised"
        try:
            found = self._extract(data)
        except Exception as error:
            problems = [f"raised {type(error).__name__}"]
        else:
            milliseconds = (self._clock() - begun) * 1000
            code = found.code or "accepted"
            problems = broken_promises(found, guarded=self._guarded)
            if self._count % _AGAIN_EVERY == 0 and self._extract(data) != found:
                problems.append("another result for the same bytes")
        for problem in problems:
            self._keep(data, problem)
        self._count += 1
        self._log.write(f"{code} {milliseconds:.2f} {_resident():.2f}\n")

    def close(self) -> None:
        """Close the log, in a process that goes on."""
        self._log.close()

    def _keep(self, data: bytes, problem: str) -> None:
        self._broken.mkdir(exist_ok=True)
        number = len(list(self._broken.iterdir()))
        (self._broken / f"{number:04} {problem}").write_bytes(data)


def main() -> None:
    """Feed a reader until its inputs or its time are used up."""
    parser = argparse.ArgumentParser(prog="tests.fuzz.child")
    parser.add_argument("--reader", choices=READERS, required=True)
    parser.add_argument("--engine", choices=("plain", "atheris", "sandbox"), required=True)
    parser.add_argument("--folder", type=Path, required=True)
    for name in ("inputs", "first", "seconds", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    arguments = parser.parse_args()
    {"plain": _plain, "atheris": _atheris, "sandbox": _sandbox}[arguments.engine](arguments)


def _plain(arguments: argparse.Namespace) -> None:
    _seeded(arguments, Feeder(arguments.folder, _direct(arguments.reader), guarded=False))


def _sandbox(arguments: argparse.Namespace) -> None:
    from huleedu_dagster.extraction.sandbox import SandboxedExtractor

    with SandboxedExtractor(LIMITS) as extractor:
        feeder = Feeder(
            arguments.folder,
            _limited(lambda data: extractor.extract(data, arguments.reader)),
            guarded=True,
        )
        _seeded(arguments, feeder)


def _seeded(arguments: argparse.Namespace, feeder: Feeder) -> None:
    if arguments.engine == "plain":
        _limit_memory()
    end = time.monotonic() + arguments.seconds
    for number in range(arguments.first, arguments.inputs):
        if time.monotonic() > end:
            break
        rng = random.Random(f"{arguments.seed}:{arguments.reader}:{number}")
        feeder.feed(made(arguments.reader, rng))


def _atheris(arguments: argparse.Namespace) -> None:
    import atheris

    # Not markdown_it: counted, it is ten times slower.
    packages = ["huleedu_dagster.extraction", "striprtf"]
    with atheris.instrument_imports(include=packages):
        extract = _direct(arguments.reader)
        extract(seeds(arguments.reader)[0])
    feeder = Feeder(arguments.folder, extract, guarded=False)
    corpus = arguments.folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for number, data in enumerate(seeds(arguments.reader)):
        (corpus / f"seed{number}").write_bytes(data)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.25:
            return bytes(atheris.Mutate(data, most))
        return mutated(data, arguments.reader, rng)[:most]

    options = {
        "runs": max(arguments.inputs - arguments.first, 1),
        "max_total_time": arguments.seconds,
        "seed": arguments.seed + arguments.first + 1,
        "max_len": _MOST_GUIDED_BYTES,
        "timeout": 10_000,
        "rss_limit_mb": 0,
        "verbosity": 0,
    } | {f"handle_{name}": 0 for name in _NO_SIGNALS}
    switches = [f"-{name}={value}" for name, value in options.items()]
    switches.append(f"-artifact_prefix={arguments.folder}/")
    atheris.Setup([sys.argv[0], *switches, str(corpus)], feeder.feed, custom_mutator=mutate)
    _limit_memory()
    atheris.Fuzz()


def _direct(reader: str) -> Callable[[bytes], Extraction]:
    # Imported here, so that the engine can instrument it.
    from huleedu_dagster.extraction.dispatch import extract_bytes

    return _limited(lambda data: extract_bytes(data, reader, LIMITS))


def _limited(extract: Callable[[bytes], Extraction]) -> Callable[[bytes], Extraction]:
    """The same, in a process that ends when one input takes more than `CPU_SECONDS`."""

    def extract_in_time(data: bytes) -> Extraction:
        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(used.ru_utime + used.ru_stime) + CPU_SECONDS + 1
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))
        return extract(data)

    return extract_in_time


def _resident() -> float:
    """Memory of this process that is in use, MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_MIB


def _limit_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
