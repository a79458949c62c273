"""JSON Schemas of the events, as they are published under `schemas/`."""

import json
from typing import Any

from huleedu_dagster.domain.events import EVENT_MODELS, EventData, EventEnvelope, schema_uri


def published_schemas() -> dict[str, str]:
    """File name and content of every schema: the envelope, and each event at its version."""
    envelope = EventEnvelope[EventData].model_json_schema()
    envelope["$id"] = "urn:huleedu:schema:EventEnvelope:1"
    found = {"EventEnvelope.v1.json": _render(envelope)}
    for model in EVENT_MODELS:
        schema = model.model_json_schema()
        schema["$id"] = schema_uri(model)
        schema["x-event-type"] = model.event_type
        found[f"{model.__name__}.v{model.schema_version}.json"] = _render(schema)
    return found


def _render(schema: dict[str, Any]) -> str:
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
