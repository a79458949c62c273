"""Published schemas: every event has one, and a changed model needs a new version."""

import json
from pathlib import Path

import pytest

from huleedu_dagster.domain.events import EVENT_MODELS
from huleedu_dagster.domain.schemas import published_schemas

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", sorted(published_schemas()))
def test_the_committed_schema_is_that_of_the_model(name: str) -> None:
    committed = (ROOT / "schemas" / name).read_text(encoding="utf-8")
    assert committed == published_schemas()[name], (
        f"{name} changed: raise schema_version, run `huleedu schemas`, add a CHANGELOG line"
    )


@pytest.mark.parametrize("model", EVENT_MODELS, ids=lambda it: it.__name__)
def test_every_schema_version_has_a_line_in_the_changelog(model: type) -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"{model.__name__} schema {model.schema_version}" in changelog  # type: ignore[attr-defined]


def test_schemas_of_earlier_versions_stay_published() -> None:
    for path in (ROOT / "schemas").glob("*.json"):
        schema = json.loads(path.read_text(encoding="utf-8"))
        assert schema["$id"].startswith("urn:huleedu:schema:"), path.name
