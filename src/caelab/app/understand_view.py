"""The view "Understand": a network's layers, sizes and drawing while its text is typed."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from caelab.app.pages import render


async def _show(request: Request) -> Response:
    return render(request, "understand.html.j2")


ROUTES = [Route("/understand", _show)]
