"""Style sheets and scripts of the pages; open to everyone."""

from fastapi import APIRouter, Request, Response

from huleedu_dagster.intake.pages.rendering import STATIC_PATH, static_file
from huleedu_dagster.intake.problems import ProblemCode, ProblemError

router = APIRouter(include_in_schema=False)

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
# The address of a file changes with its content.
_FOR_A_YEAR = "public, max-age=31536000, immutable"


@router.get(STATIC_PATH + "{name}")
def static(request: Request, name: str) -> Response:
    """One file, as it came with the package."""
    content = static_file(name)
    if content is None:
        raise ProblemError(ProblemCode.NOT_FOUND)
    headers = {"Cache-Control": _FOR_A_YEAR} if "v" in request.query_params else {}
    media_type = _TYPES[name.rpartition(".")[2]]
    return Response(content, headers=headers, media_type=media_type)
