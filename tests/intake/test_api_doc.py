"""docs/api.md keeps its word: its requests work as they stand, its tables are what is so."""

import os
import re
import subprocess
from pathlib import Path

from huleedu_dagster.domain.access import Scope
from huleedu_dagster.intake.contracts import FileStatus
from huleedu_dagster.intake.limits import IntakeLimits
from huleedu_dagster.intake.problems import KINDS
from tests.intake.forms import GOOD
from tests.intake.served import EVERY_SCOPE, Served
from tests.unit.test_docs import table_rows

DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"
PLACES = {
    "batch_id": "class-a",
    "essay_id": "e001",
    "form": "json",
    "number": "1",
    "upload_id": "0",
}
_COMMAND = re.compile(r"^    curl (?:.*\\\n)*.*$", re.MULTILINE)


def rows(first: str) -> dict[str, tuple[str, ...]]:
    """The rows of the table whose first column is called `first`, by their first cell."""
    found = table_rows(DOCUMENT)
    begin = next(number for number, it in enumerate(found) if it[0] == first)
    width = len(found[begin])
    after = found[begin + 1 :]
    end = next((n for n, it in enumerate(after) if len(it) != width or it[0][0] != "`"), len(after))
    return {it[0].strip("`"): it[1:] for it in after[:end]}


def test_every_request_of_the_document_works_as_it_stands(served: Served, tmp_path: Path) -> None:
    folder = tmp_path / "client"
    folder.mkdir()
    for name in ("ida.txt", "nils.txt"):
        (folder / name).write_bytes(GOOD + name.encode())
    environment = {**os.environ, "INTAKE": served.url, "TOKEN": served.token("portal")}
    commands = _COMMAND.findall(DOCUMENT.read_text(encoding="utf-8"))
    assert len(commands) >= 5
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env={**environment, "no_proxy": "*"},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    essays = {it.path for it in (essay.upload for essay in served.shop.facts("class-9g").essays)}
    assert essays == {"Ida Berg/essay.txt", "nils.txt"}
    assert (folder / "essay.txt").read_bytes() == GOOD + b"ida.txt"


def test_the_tables_are_those_of_the_code() -> None:
    told = {code: (str(int(it.status)), it.title, it.next_step) for code, it in KINDS.items()}
    assert rows("code") == told
    assert set(rows("status")) == {it.value for it in FileStatus}
    limits, text = IntakeLimits(), DOCUMENT.read_text(encoding="utf-8")
    for number in (limits.max_files, limits.requests_per_minute, limits.max_pending):
        assert f" {number:,} " in text
    assert f"{limits.max_file_bytes // 10**6} MB" in text


def test_each_request_needs_the_scope_that_is_told(served: Served) -> None:
    found = {
        f"{method.upper()} {path}"
        for path, those in served.app.openapi()["paths"].items()
        for method in those
        if path.startswith("/v1/")
    }
    told = rows("request")
    assert set(told) == found
    clients = {scope: served.client(served.token(scope, scope)) for scope in EVERY_SCOPE}
    for request, (scopes, _) in told.items():
        method, path = request.split(" ")
        needed = {Scope(it) for it in re.findall(r"`(\w+)`", scopes)}
        for scope, client in clients.items():
            status = client.request(method, path.format(**PLACES)).status_code
            assert (status == 403) == (scope not in needed), (request, scope, status)
