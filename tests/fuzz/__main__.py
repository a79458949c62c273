"""Fuzzes the readers and prints what came of it; exit code 1 when a reader failed.

A crash inside pdfium is listed and is no failure: files are read in processes that may die.
"""

import argparse
import importlib.util
import sys
import tempfile
from pathlib import Path

from tests.fuzz.campaign import Findings, campaign
from tests.fuzz.seeds import READERS

_HEADS = ("reader", "inputs", "accepted", "slowest ms", "crashes", "hangs", "broken", "RSS +MiB")
_NATIVE = "pdf"


def main() -> int:
    """Run one campaign for each reader, and one through the sandbox for pdf."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each reader, at most")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="for each reader, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--reader", choices=READERS, nargs="+", default=READERS)
    parser.add_argument("--engine", choices=("plain", "atheris"), help="atheris where it is")
    parser.add_argument("--folder", type=Path, help="for inputs that matter; must not hold any yet")
    arguments = parser.parse_args()
    has_atheris = importlib.util.find_spec("atheris") is not None
    engine = arguments.engine or ("atheris" if has_atheris else "plain")
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="fuzz-"))
    runs = [(reader, engine) for reader in arguments.reader]
    runs += [(_NATIVE, "sandbox")] if _NATIVE in arguments.reader else []
    options = {name: getattr(arguments, name) for name in ("inputs", "seconds", "seed")}
    all_found = [campaign(reader, how, folder, **options) for reader, how in runs]
    print(table(all_found))
    print(f"inputs that matter: {folder}")
    return 1 if any(map(failed, all_found)) else 0


def failed(found: Findings) -> bool:
    """Whether a reader broke a promise, hung, or crashed where no crash is to be expected."""
    native_crash = found.name in (f"{_NATIVE} (atheris)", f"{_NATIVE} (plain)")
    crashed = bool(found.crashes) and not native_crash
    return bool(found.broken or found.hangs or crashed or not found.codes)


def table(all_found: list[Findings]) -> str:
    """A Markdown table with one row for each reader, and what was found below it."""
    lines = [_row(*_HEADS, "codes"), _row(*["---"] * (len(_HEADS) + 1))]
    for found in all_found:
        codes = ", ".join(
            f"{code} {count}" for code, count in found.codes.most_common() if code != "accepted"
        )
        lines.append(
            _row(
                found.name,
                found.inputs,
                found.codes["accepted"],
                f"{found.slowest:.0f}",
                len(found.crashes),
                found.hangs,
                len(found.broken),
                f"{found.growth:+.1f}",
                codes,
            )
        )
    for found in all_found:
        lines += [f"{found.name}: {what}" for what in (*found.crashes, *found.broken)]
    return "\n".join(lines)


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    sys.exit(main())
