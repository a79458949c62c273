"""Checks the values for Dagster's chart against the schema of the version that is to be installed.

    helm pull dagster/dagster --version VERSION --untar
    python -m scripts.check_chart_values --schema dagster/values.schema.json \\
        --defaults dagster/values.yaml

Helm checks them too, after it has put them into the chart's own. This says it before, names every
place that is wrong, and with the chart's own values finds names at the top that Helm lets pass.
"""

import argparse
import copy
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

VALUES = Path(__file__).parents[1] / "deploy" / "kubernetes" / "values.yaml"


def main(arguments: Sequence[str] | None = None) -> int:
    """Say what is wrong, a line for each place.

    Args:
        arguments: The command line; the process's own if `None`.

    Returns:
        Exit code: 0 nothing is wrong, 1 something is, 2 a file cannot be read.
    """
    parser = argparse.ArgumentParser(prog="check_chart_values", description=__doc__)
    parser.add_argument("values", nargs="?", type=Path, default=VALUES, help="Ours, by default.")
    parser.add_argument("--schema", type=Path, required=True, help="The chart's values.schema.json")
    parser.add_argument("--defaults", type=Path, help="The chart's values.yaml")
    chosen = parser.parse_args(arguments)
    try:
        values = _mapping(chosen.values)
        schema = json.loads(chosen.schema.read_text(encoding="utf-8"))
        defaults = None if chosen.defaults is None else _mapping(chosen.defaults)
    except (OSError, ValueError, yaml.YAMLError) as error:
        print(f"cannot be read: {error}", file=sys.stderr)
        return 2
    found = list(wrong(values, schema, defaults, folder=chosen.schema.parent))
    for line in found:
        print(line)
    print(f"{chosen.values.name}: {len(found)} wrong" if found else f"{chosen.values.name}: right")
    return 1 if found else 0


def wrong(
    values: dict[str, Any],
    schema: dict[str, Any],
    defaults: dict[str, Any] | None = None,
    *,
    folder: Path,
) -> Iterator[str]:
    """What is wrong with values, as a person reads it.

    Args:
        values: The values of an installation.
        schema: The chart's schema.
        defaults: The chart's own values, under which the others are put; without them nothing is
            asked for that the values leave out.
        folder: Where files are that the schema refers to; what is elsewhere is not checked.
    """
    whole = values if defaults is None else merged(defaults, values)
    asked = _checkable(schema, complete=defaults is not None)
    registry: Registry[Any] = Registry(retrieve=lambda uri: _referred(uri, folder))  # type: ignore[call-arg]
    errors = Draft7Validator(asked, registry=registry).iter_errors(whole)
    for error in sorted(errors, key=lambda it: it.json_path):
        yield f"{error.json_path.removeprefix('$.')}: {error.message[:300]}"
    known = set(schema.get("properties", {})) | set(defaults or values)
    for name in sorted(set(values) - known):
        yield f"{name}: the chart has no such value"


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Values put over others as Helm does: level by level, lists as a whole, null takes away."""
    found = copy.deepcopy(below)
    for name, value in above.items():
        if value is None:
            found.pop(name, None)
        elif isinstance(value, dict) and isinstance(found.get(name), dict):
            found[name] = merged(found[name], value)
        else:
            found[name] = copy.deepcopy(value)
    return found


def _mapping(path: Path) -> dict[str, Any]:
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} has no values")
    return found


def _checkable(schema: Any, *, complete: bool) -> Any:
    """A schema without what is elsewhere, and without requirements for incomplete values."""
    if isinstance(schema, list):
        return [_checkable(it, complete=complete) for it in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref")
    if isinstance(reference, str) and "://" in reference:
        print(f"not checked, since it is elsewhere: {reference}", file=sys.stderr)
        return {}
    return {
        name: _checkable(it, complete=complete)
        for name, it in schema.items()
        # A property may have that name, too; what it has is then no list.
        if complete or name != "required" or not isinstance(it, list)
    }


def _referred(uri: str, folder: Path) -> Resource[Any]:
    content = json.loads((folder / uri).read_text(encoding="utf-8"))
    return Resource.from_contents(content, default_specification=DRAFT7)


if __name__ == "__main__":
    sys.exit(main())
