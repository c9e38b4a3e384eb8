"""The scripts and style sheets of the pages that have some: files of ours, and the chart library, from this server.

static/theme.js    Airflow's choice of light or dark
static/map.js      the feature map; plane.js, its points; map.css, how it looks
static/echarts.js  Apache ECharts, as `scripts/charts` builds it; its licences are in echarts.LICENSE.txt
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter, HTTPException, Response

from imagefeatures_airflow.web import rendering

FOLDER = Path(__file__).parent / "static"

KINDS = {".js": "text/javascript", ".css": "text/css", ".txt": "text/plain"}

HEADERS = {"Cache-Control": "private, max-age=604800"}
"""A week: `address` has the digest of the content, so that another version has another address."""

POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' 'sha256-{rendering.STYLE_HASH}'; img-src 'self'; "
    "connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
)
"""The Content-Security-Policy of a page with scripts: it loads what this server has, and runs nothing inline."""

router = APIRouter()


@router.get("/static/{name}")
async def static(name: str) -> Response:
    """One of the files; 404 for any other name."""
    if name not in _files():
        raise HTTPException(404, "There is no such file")
    content, _ = _files()[name]
    return Response(content, media_type=KINDS[Path(name).suffix], headers=HEADERS)


def address(name: str) -> str:
    """The address of a file below the application's root."""
    _, digest = _files()[name]
    return f"static/{name}?{digest}"


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    """Content and digest of each file."""
    contents = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in KINDS}
    return {name: (content, hashlib.sha256(content).hexdigest()[:12]) for name, content in contents.items()}
