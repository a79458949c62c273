"""Runs one child after another for a reader, and sums up what they wrote down."""

import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

_WARM_UP = 200
_GRACE_SECONDS = 120
_MOST_DEATHS = 20


@dataclass
class Findings:
    """What came of one reader.

    Attributes:
        name: Reader and engine.
        codes: Inputs by code; `accepted` for a text.
        slowest: The longest time for one input, ms.
        growth: Memory in use after all inputs less that after the first 200, of the last child,
            MiB.
        crashes: Inputs that ended the process by a signal or an exit code.
        hangs: Inputs that used up the processor time.
        broken: Inputs whose result broke a promise.
        where: The folders of the inputs to look at.
    """

    name: str
    codes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    growth: float = 0.0
    crashes: list[str] = field(default_factory=list)
    hangs: int = 0
    broken: list[str] = field(default_factory=list)
    where: Path = Path()

    @property
    def inputs(self) -> int:
        """Inputs that were fed, those that ended the process as well."""
        return self.codes.total() + len(self.crashes) + self.hangs


def campaign(
    reader: str, engine: str, folder: Path, *, inputs: int, seconds: int, seed: int
) -> Findings:
    """Feed one reader, going on behind every input that ends the process.

    Args:
        reader: The format.
        engine: plain, atheris or sandbox.
        folder: Where inputs that matter are left.
        inputs: At most so many.
        seconds: At most so long.
        seed: Decides the inputs, but for what the engine learns.
    """
    folder = folder / f"{reader}-{engine}"
    folder.mkdir(parents=True)
    found = Findings(f"{reader} ({engine})", where=folder)
    end = time.monotonic() + seconds
    while found.inputs < inputs and time.monotonic() < end:
        left = max(1, round(end - time.monotonic()))
        options = {"inputs": inputs, "first": found.inputs, "seconds": left, "seed": seed}
        code = _child(reader, engine, folder, options)
        _sum_up(found, folder)
        if code == 0:
            break
        _keep(found, folder, code)
        if len(found.crashes) + found.hangs >= _MOST_DEATHS:
            break
    found.broken = sorted(path.name for path in (folder / "broken").glob("*"))
    return found


def _child(reader: str, engine: str, folder: Path, options: dict[str, int]) -> int:
    command = [sys.executable, "-m", "tests.fuzz.child", "--reader", reader, "--engine", engine]
    command += ["--folder", str(folder)]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    with (folder / "stderr").open("ab") as stderr:
        try:
            return subprocess.run(
                command,
                stdout=stderr,
                stderr=stderr,
                timeout=options["seconds"] + _GRACE_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return -signal.SIGXCPU


def _sum_up(found: Findings, folder: Path) -> None:
    log = folder / "log"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    sizes = []
    for line in lines:
        code, milliseconds, size = line.split()
        found.codes[code] += 1
        found.slowest = max(found.slowest, float(milliseconds))
        sizes.append(float(size))
    if len(sizes) > _WARM_UP:
        found.growth = sizes[-1] - sizes[_WARM_UP]
    log.unlink(missing_ok=True)


def _keep(found: Findings, folder: Path, code: int) -> None:
    if code == -signal.SIGXCPU:
        found.hangs += 1
        what = "hang"
    else:
        what = signal.Signals(-code).name if code < 0 else f"exit {code}"
        found.crashes.append(what)
    current = folder / "current"
    if current.exists():
        current.rename(folder / f"{what} {found.inputs}")
