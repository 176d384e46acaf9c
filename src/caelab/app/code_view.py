"""The view "Code": an image through a model, and what each part of its code does."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from caelab.app.pages import render


async def _show(request: Request) -> Response:
    return render(request, "code.html.j2")


ROUTES = [Route("/code", _show)]
