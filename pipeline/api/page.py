"""The live page: static files, all of them ours or vendored."""

from fastapi import FastAPI


def serve_page(app: FastAPI) -> None:
    pass
