"""The scripts and style sheets of the pages: files of ours, and the chart library, from this server.

static/page.js     the script of all pages: without it they say the same, and are loaded anew
static/map.js      the feature map; plane.js, its points; map.css, how it looks
static/echarts.js  Apache ECharts, as `scripts/charts` builds it; its licences are in echarts.LICENSE.txt
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response

FOLDER = Path(__file__).parent / "static"

KINDS = {".js": "text/javascript", ".css": "text/css", ".txt": "text/plain"}

KEPT = {"Cache-Control": "private, max-age=604800, immutable"}
"""A week: `address` has the digest of the content, so that another version has another address."""

router = APIRouter()


@router.get("/static/{name}")
async def static(request: Request, name: str) -> Response:
    """One of the files; 404 for any other name.

    A browser keeps it only under the address of this version: while servers are replaced one after another, a page of
    the new version may ask a server of the old one.
    """
    if name not in _files():
        raise HTTPException(404, "There is no such file")
    content, digest = _files()[name]
    return Response(content, media_type=KINDS[Path(name).suffix], headers=KEPT if request.url.query == digest else None)


def address(name: str) -> str:
    """The address of a file below the application's root."""
    _, digest = _files()[name]
    return f"static/{name}?{digest}"


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    """Content and digest of each file."""
    contents = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in KINDS}
    return {name: (content, hashlib.sha256(content).hexdigest()[:12]) for name, content in contents.items()}
