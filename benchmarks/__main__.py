"""`python -m benchmarks [NAME …]`: one JSON object a line, all benchmarks if no name is given.

Each of several has a process of its own: what one of them loads and keeps would be told as the
memory of all that follow.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path

from benchmarks.framework import run
from benchmarks.registry import registry


def main(names: Sequence[str]) -> int:
    """Run benchmarks by name; 2 if there is none of a name, 1 if one failed."""
    try:
        chosen = registry().chosen(names)
    except LookupError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    if len(chosen) > 1:
        return max(_alone(it.name) for it in chosen)
    for name in [it for it in os.environ if it.startswith(("HULEEDU_", "DAGSTER_"))]:
        # A developer's own settings would be measured too.
        del os.environ[name]
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        # Away from a `.env` file of the current folder.
        print(json.dumps(run(chosen[0]).as_json(), ensure_ascii=False), flush=True)
    return 0


def _alone(name: str) -> int:
    command = [sys.executable, "-m", "benchmarks", name]
    # Elsewhere is no such package.
    done = subprocess.run(command, cwd=Path(__file__).parents[1], check=False)
    return int(done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
