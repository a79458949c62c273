"""`huleedu schemas`: writes the JSON Schemas of the events."""

from pathlib import Path
from typing import Annotated

import typer

from huleedu_dagster.cli.common import Exit, HomeOption, Installation, JsonOption, fail, print_json
from huleedu_dagster.domain.schemas import published_schemas


def schemas(
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")] = Path("schemas"),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if a file is not as it should be.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the JSON Schema of every event. A published file is never overwritten."""
    # Schemas are of the program, not of a home; the option is there as on every command.
    Installation.at(home)
    found = published_schemas()
    changed = [
        name
        for name, content in found.items()
        if (out / name).exists() and (out / name).read_text(encoding="utf-8") != content
    ]
    missing = [name for name in found if not (out / name).exists()]
    if changed:
        fail(
            f"changed without a new schema_version: {', '.join(changed)}; raise the version of "
            "the model and say so in the CHANGELOG",
            Exit.USAGE,
        )
    if check and missing:
        fail(f"not written yet: {', '.join(missing)}", Exit.USAGE)
    if not check:
        out.mkdir(parents=True, exist_ok=True)
        for name in missing:
            (out / name).write_text(found[name], encoding="utf-8")
    if as_json:
        print_json({"written": [] if check else missing, "schemas": sorted(found)})
    else:
        typer.echo(f"{len(found)} schemas, {0 if check else len(missing)} written")
