"""The OpenAPI description: what the framework finds, with our problems and our authentication."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from huleedu_dagster.intake.door import CORRELATION_HEADER, OPEN_PATHS
from huleedu_dagster.intake.problems import KINDS, MEDIA_TYPE, Problem

_REFERENCE = "#/components/schemas/"
_SCHEME = "token"
_FRAMEWORK_SCHEMAS = ("HTTPValidationError", "ValidationError")


def described(app: FastAPI) -> dict[str, Any]:
    """The description of an application, complete with its errors."""
    found = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _FRAMEWORK_SCHEMAS:
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template=_REFERENCE + "{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    components["securitySchemes"] = {_SCHEME: {"type": "http", "scheme": "bearer"}}
    for path, operations in found["paths"].items():
        for operation in operations.values():
            _complete(operation, path)
    return found


def _complete(operation: dict[str, Any], path: str) -> None:
    operation.setdefault("parameters", []).append(
        {
            "name": CORRELATION_HEADER,
            "in": "header",
            "required": False,
            "description": "Ties requests together; made if left out and always echoed.",
            "schema": {"type": "string", "format": "uuid"},
        }
    )
    if path not in OPEN_PATHS:
        operation["security"] = [{_SCHEME: []}]
    statuses = {kind.status: kind.title for kind in reversed(KINDS.values())}
    for status, title in sorted(statuses.items()):
        operation["responses"][str(int(status))] = {
            "description": title,
            "content": {MEDIA_TYPE: {"schema": {"$ref": f"{_REFERENCE}Problem"}}},
        }
