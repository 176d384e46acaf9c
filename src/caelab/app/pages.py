"""Make pages from templates."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.templating import Jinja2Templates

from caelab import __version__

FOLDER = Path(__file__).parent

VIEWS = {
    "/restore": "Restore pictures",
    "/understand": "Understand networks",
    "/code": "Look into a code",
    "/runs": "Runs",
}
"""Titles of the views by their path, in the order of the menu."""

_TEMPLATES = Jinja2Templates(
    # By default only files whose names end in .html are escaped.
    env=Environment(loader=FileSystemLoader(FOLDER / "templates"), autoescape=True)
)


def render(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """Return the page of a template.

    Args:
        request: The request, whose path marks the view in the menu.
        template: Name of the template's file.
        status: HTTP status.
        values: Values of the template's names. Texts are escaped.
    """
    context = {"views": VIEWS, "version": __version__, "path": request.url.path, **values}
    return _TEMPLATES.TemplateResponse(request, template, context, status_code=status)


def render_part(template: str, **values: Any) -> Markup:
    """Return a part of a page, which other templates insert without escaping it again.

    Args:
        template: Name of the template's file.
        values: Values of the template's names. Texts are escaped.
    """
    return Markup(_TEMPLATES.get_template(template).render(values))
