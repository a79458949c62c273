"""Renders the pages of reports. Everything that comes from outside is escaped."""

from functools import cache
from typing import TYPE_CHECKING, Any

from huleedu_dagster.domain.file_names import visible

if TYPE_CHECKING:
    from jinja2 import Environment


def render(name: str, **values: Any) -> str:
    """Fill the template `name` of the folder `pages`.

    Raises:
        jinja2.TemplateNotFound: There is no such template.
    """
    return _environment().get_template(name).render(**values)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("huleedu_dagster.reports", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = visible
    return environment
