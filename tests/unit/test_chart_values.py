"""The check of the chart's values, with a small chart's schema."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.check_chart_values import main

_SCHEMA = {
    "type": "object",
    "required": ["web", "daemon"],
    "properties": {
        "web": {"$ref": "#/definitions/Web"},
        "daemon": {"type": "object", "required": ["enabled"]},
    },
    "definitions": {
        "Web": {
            "type": "object",
            "additionalProperties": False,
            "required": ["replicas"],
            "properties": {
                "replicas": {"type": "integer"},
                "required": {"type": "boolean"},
                "limits": {"$ref": "kubernetes/_definitions.json#/definitions/limits"},
                "probe": {"$ref": "https://schemas.example/definitions.json#/probe"},
            },
        }
    },
}
_DEFAULTS = "web: {replicas: 1}\ndaemon: {enabled: true}\nother: 1\n"


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A chart's folder."""
    (tmp_path / "values.schema.json").write_text(json.dumps(_SCHEMA))
    (tmp_path / "values.yaml").write_text(_DEFAULTS)
    (tmp_path / "kubernetes").mkdir()
    limits = {"definitions": {"limits": {"additionalProperties": {"type": "string"}}}}
    (tmp_path / "kubernetes" / "_definitions.json").write_text(json.dumps(limits))
    return tmp_path


def check(chart: Path, values: str, capsys: pytest.CaptureFixture[str], *more: str) -> Any:
    (chart / "ours.yaml").write_text(values)
    schema = str(chart / "values.schema.json")
    code = main([str(chart / "ours.yaml"), "--schema", schema, *more])
    return code, capsys.readouterr().out.splitlines()


def test_values_that_leave_most_to_the_chart_are_right(
    chart: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = "web: {limits: {memory: 1Gi}, probe: {any: thing}}\n"
    assert check(chart, values, capsys) == (0, ["ours.yaml: right"])


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ("web: {replica: 2}", "web: Additional properties"),
        ("web: {replicas: two}", "web.replicas: 'two' is not of type 'integer'"),
        ("web: {required: 1}", "web.required: 1 is not of type 'boolean'"),
        ("web: {limits: {cpu: 1}}", "web.limits.cpu: 1 is not of type 'string'"),
    ],
)
def test_what_the_schema_does_not_allow_is_named(
    chart: Path, capsys: pytest.CaptureFixture[str], values: str, place: str
) -> None:
    code, lines = check(chart, values, capsys)
    assert code == 1
    assert lines[0].startswith(place)
    assert lines[1:] == ["ours.yaml: 1 wrong"]


def test_with_the_charts_own_values_the_whole_is_checked(
    chart: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    defaults = ("--defaults", str(chart / "values.yaml"))
    assert check(chart, "web: {replicas: 2}\nother: 2\n", capsys, *defaults)[0] == 0
    # Taken away with null, as Helm does, it is missing.
    code, lines = check(chart, "daemon: null\nwebb: {replicas: 2}\n", capsys, *defaults)
    assert code == 1
    assert lines == [
        "$: 'daemon' is a required property",
        "webb: the chart has no such value",
        "ours.yaml: 2 wrong",
    ]


def test_a_file_that_cannot_be_read_is_said(
    chart: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines = check(chart, "- a list\n", capsys)
    assert (code, lines) == (2, [])
