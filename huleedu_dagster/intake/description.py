"""The OpenAPI description: what the framework finds, with all that it cannot know.

Added are problems, headers, authentication, examples, what downloads are, and the limits of this
installation, so that a program made from the description is one that works.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from huleedu_dagster.intake.door import CORRELATION_HEADER, OPEN_PATHS
from huleedu_dagster.intake.examples import DOWNLOADS, EXAMPLES, FORM
from huleedu_dagster.intake.idempotency import KEY_HEADER
from huleedu_dagster.intake.problems import KINDS, MEDIA_TYPE, Problem, ProblemCode
from huleedu_dagster.intake.services import Services

_COMPONENTS = "#/components/"
_SCHEME = "token"
_FRAMEWORK_SCHEMAS = ("HTTPValidationError", "ValidationError")
_TAGS = {
    "batches": "A class whose essays belong together: register it first, then watch it.",
    "files": "Essays on their way in.",
    "downloads": "What is stored, each as a file to save.",
    "dead letters": "What could not be finished, for operators.",
    "health": "For monitoring; needs no token.",
}
_HEADERS: Mapping[str, Mapping[str, Any]] = {
    CORRELATION_HEADER: {
        "description": "Ties the answer to its request and to the log.",
        "required": True,
        "schema": {"type": "string", "format": "uuid"},
    },
    "Retry-After": {
        "description": "Seconds to wait before the next try.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "Idempotency-Replayed": {
        "description": "The answer is that of the first request under this Idempotency-Key.",
        "schema": {"type": "string", "const": "true"},
    },
    "Location": {
        "description": "Where the batch is.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Link": {
        "description": 'Where the next page is, `rel="next"`; left out on the last.',
        "schema": {"type": "string"},
    },
    "Content-Disposition": {
        "description": "A safe name to save the file under.",
        "required": True,
        "schema": {"type": "string"},
    },
}
_SUCCESS = {"200": "What was asked for.", "201": "It is done.", "202": "It will be done."}
_FORM = "multipart/form-data"
# What may be answered to: every request, one with a token, a body, an object's id, a change.
_EVERY = frozenset({421, 422, 429, 500, 503})
_CLOSED = frozenset({401, 403})
_BODY = frozenset({400, 408, 413, 415})
_OBJECT = frozenset({404})
_CHANGE = frozenset({409})


def described(app: FastAPI) -> dict[str, Any]:
    """The description of an application, complete with its errors."""
    found = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
    )
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _FRAMEWORK_SCHEMAS:
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template=f"{_COMPONENTS}schemas/{{model}}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    components["headers"] = _HEADERS
    components["responses"] = {f"Problem{it}": _problem(it) for it in sorted(_statuses())}
    components["securitySchemes"] = {
        _SCHEME: {
            "type": "http",
            "scheme": "bearer",
            "description": "A token that an operator made (`huleedu tokens create`).",
        }
    }
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            _complete(operation, method, path)
    _fit_to(app.state.services, schemas)
    return found


def _statuses() -> Iterator[int]:
    yield from {int(kind.status) for kind in KINDS.values()}


def _problem(status: int) -> dict[str, Any]:
    kinds = {code: it for code, it in KINDS.items() if it.status == status}
    waits = any(it in kinds for it in (ProblemCode.TOO_MANY_REQUESTS, ProblemCode.UNAVAILABLE))
    return {
        "description": "\n\n".join(f"`{code}`: {it.title}" for code, it in kinds.items()),
        "headers": _headers(CORRELATION_HEADER, *(["Retry-After"] if waits else [])),
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"{_COMPONENTS}schemas/Problem"}}},
    }


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"{_COMPONENTS}headers/{name}"} for name in names}


def _complete(operation: dict[str, Any], method: str, path: str) -> None:
    text = operation.get("description", "")
    operation["summary"] = text.partition("\n\n")[0].replace("\n", " ").rstrip(".")
    _complete_parameters(operation)
    if path not in OPEN_PATHS:
        operation["security"] = [{_SCHEME: []}]
    body = operation.get("requestBody", {}).get("content", {})
    if _FORM in body:
        body[_FORM]["example"] = FORM
    # Of the framework's own, which it gives wherever something is validated.
    operation["responses"].pop("422", None)
    for status, response in operation["responses"].items():
        _complete_response(operation, status, response)
    for status in sorted(_problems(operation, method, path)):
        reference = {"$ref": f"{_COMPONENTS}responses/Problem{status}"}
        operation["responses"].setdefault(str(status), reference)


def _complete_parameters(operation: dict[str, Any]) -> None:
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        # A header or a query has no null: it is there, or it is left out.
        choices = [it for it in parameter["schema"].pop("anyOf", ()) if it.get("type") != "null"]
        for choice in choices:
            parameter["schema"].update(choice)
    parameters.append(
        {
            "name": CORRELATION_HEADER,
            "in": "header",
            "required": False,
            "description": "Ties requests together; made if left out and always echoed.",
            "schema": {"type": "string", "format": "uuid"},
        }
    )


def _complete_response(operation: dict[str, Any], status: str, response: dict[str, Any]) -> None:
    name = operation["operationId"]
    headers = [CORRELATION_HEADER]
    if any(it["name"] == KEY_HEADER for it in operation["parameters"]):
        headers.append("Idempotency-Replayed")
    if name == "register":
        headers.append("Location")
    if name == "batches":
        headers.append("Link")
    if name in DOWNLOADS:
        headers.append("Content-Disposition")
        response["description"] = "The file."
        response["content"] = DOWNLOADS[name]
    elif response["description"] == "Successful Response":
        response["description"] = _SUCCESS[status]
    response["headers"] = _headers(*headers)
    if (name, status) in EXAMPLES:
        response["content"]["application/json"]["example"] = EXAMPLES[name, status]


def _problems(operation: dict[str, Any], method: str, path: str) -> frozenset[int]:
    found = _EVERY
    if path not in OPEN_PATHS:
        found |= _CLOSED
    if "requestBody" in operation:
        found |= _BODY
    if "{" in path or _FORM in operation.get("requestBody", {}).get("content", {}):
        found |= _OBJECT
    if method == "post":
        found |= _CHANGE
    return found


def _fit_to(services: Services, schemas: dict[str, Any]) -> None:
    """Tell what can be registered here."""
    properties = schemas["RegisterRequest"]["properties"]
    language, count = (properties[it]["anyOf"][0] for it in ("language", "expected_essay_count"))
    language["enum"] = sorted(services.languages)
    count["maximum"] = services.settings.max_slots
