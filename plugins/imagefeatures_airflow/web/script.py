"""The script of the pages: the only one, a file of ours. Without it the pages say the same, and are loaded anew."""

from __future__ import annotations

from fastapi import APIRouter, Response

from imagefeatures_airflow.web import rendering

router = APIRouter()


@router.get("/page.js")
async def script() -> Response:
    """The script. Its address names its version, so that a browser need not ask for it again."""
    headers = {"Cache-Control": "private, max-age=86400, immutable"}
    return Response(rendering.SCRIPT, media_type="text/javascript; charset=utf-8", headers=headers)
