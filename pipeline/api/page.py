"""The live page: static files, all of them ours or vendored.

Nothing is built and nothing comes from elsewhere: what lies in the folder is what the browser gets. It may keep a file, and
asks each time whether it is still the same (ETag).
"""

import mimetypes
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.staticfiles import StaticFiles

FOLDER = Path(__file__).with_name("page")
INDEX = "index.html"


def serve_page(app: FastAPI) -> None:
    """`/` is the page, /page/… what it consists of."""
    # The machine's own table may say otherwise, and a module of another type is not run.
    mimetypes.add_type("text/javascript", ".js")
    files = _Files(directory=FOLDER)
    app.mount("/page", files)

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page(request: Request) -> Response:
        return await files.get_response(INDEX, request.scope)


class _Files(StaticFiles):
    """Nothing outside the folder, links that lead out of it neither."""

    def file_response(self, *args: Any, **named: Any) -> Response:
        response = super().file_response(*args, **named)
        response.headers["cache-control"] = "no-cache"
        return response
