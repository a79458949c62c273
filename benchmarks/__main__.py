"""`python -m benchmarks [NAME …]`: one JSON object a line, all benchmarks if no name is given."""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import chdir

from benchmarks.framework import run
from benchmarks.registry import registry


def main(names: Sequence[str]) -> int:
    """Run benchmarks by name; 2 if there is none of a name."""
    try:
        chosen = registry().chosen(names)
    except LookupError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    for name in [it for it in os.environ if it.startswith(("HULEEDU_", "DAGSTER_"))]:
        # A developer's own settings would be measured too.
        del os.environ[name]
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        # Away from a `.env` file of the current folder.
        for benchmark in chosen:
            print(json.dumps(run(benchmark).as_json(), ensure_ascii=False), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
