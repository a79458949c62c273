#!/usr/bin/env bash
# Makes the virtual environment: hashed packages first, then this project. Uses uv if it is there.
set -euo pipefail
python=$1 venv=$2 lock=$3

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11" >&2
  exit 1
fi
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
if command -v uv >/dev/null 2>&1; then
  install() { uv pip install --quiet --python "$venv/bin/python" --compile-bytecode "$@"; }
else
  install() { "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
fi
install --require-hashes -r "$lock"
install --no-build-isolation --no-deps --editable .
