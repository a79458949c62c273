"""Checks what no linter does: file lengths, machine paths, and hosts that must not be committed."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MOST_LINES = 400
_FORBIDDEN = {
    "the path of a machine": re.compile(r"(?<![\w.])/(?:home|root|work|Users)/\w"),
    "a package host": re.compile(r"https?://[^\s\"']*(?:/simple\b|pythonhosted\.|pypi\.)"),
}
_TEXT = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".sh", ".html", ".json", ".mako", ""}


def problems(root: Path) -> Iterator[str]:
    """What is wrong with the files that git tracks below `root`."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=root, check=True, capture_output=True, text=True
    )
    for name in listed.stdout.splitlines():
        path = root / name
        if path.suffix not in _TEXT or not path.is_file() or name.startswith("samples/"):
            continue
        lines = path.read_text(encoding="utf-8").splitlines()
        if path.suffix == ".py" and len(lines) > MOST_LINES:
            yield f"{name}: {len(lines)} lines, at most {MOST_LINES}"
        for number, line in enumerate(lines, 1):
            for what, pattern in _FORBIDDEN.items():
                if pattern.search(line):
                    yield f"{name}:{number}: {what}"


def main() -> int:
    """Print the problems; the exit code says whether there are any."""
    found = list(problems(Path(__file__).resolve().parents[1]))
    print("\n".join(found) or "files: ok")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
