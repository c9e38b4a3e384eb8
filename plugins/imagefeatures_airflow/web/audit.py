"""Labels of a partition that are probably wrong, and photos that are there twice: what `imagefeatures audit` finds.

It is computed once, when somebody looks for the first time (`imagefeatures.audits.kept`): the page says how long that
may take, and for which partitions it is too much.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse

from imagefeatures import names
from imagefeatures.settings import Settings, program
from imagefeatures_airflow.web import rendering, rows
from imagefeatures_airflow.web.partitions import NotShown, Partition, Shown
from imagefeatures_airflow.web.threads import in_thread

if TYPE_CHECKING:
    from imagefeatures.audits.kept import KeptAudits

ON_A_PAGE = 25
NEIGHBOURS = 4
"""So many neighbours of a photo are shown beside it, the nearest first."""

SECONDS_BETWEEN_VIEWS = 5
"""After which the page asks for itself again while the audit is under way."""

MOST_PAGE = 1_000_000
"""The last page that can be asked for. What comes before a page is read over."""

Table = Literal["labels", "duplicates"]

router = APIRouter()


@dataclass(frozen=True)
class View:
    """Which of the two tables is shown."""

    table: Table = "labels"


@router.get("/datasets/{dataset}/partitions/{partition}/audit")
async def audit(
    request: Request, of: Shown, view: Annotated[View, Depends()], page: Annotated[int, Query(ge=1, le=MOST_PAGE)] = 1
) -> HTMLResponse:
    """The labels in doubt or the duplicates of a partition; or how far their audit is."""

    def show() -> HTMLResponse:
        from imagefeatures.audits import kept
        from imagefeatures.audits.gallery import MOST_COMPARED
        from imagefeatures.background import UnderWay, Waits

        facts: dict[str, Any] = {"of": of, "view": view, "page": page, "on_a_page": ON_A_PAGE, "refresh": None}
        facts |= {
            "most_photos": kept.MOST_PHOTOS,
            "most_compared": MOST_COMPARED,
            "most_seconds": kept.SECONDS,
            "audit": None,
            "why": None,
        }
        if why := _too_much(of):
            return rendering.page(request, "audit.html", **facts | {"why": why})
        state = _audits(of.settings).of(of.layout)
        if isinstance(state, UnderWay):
            facts["why"] = f"The audit is being computed, since {state.seconds:.0f} s. The page asks again by itself."
            facts["refresh"] = SECONDS_BETWEEN_VIEWS
        elif isinstance(state, Waits):
            facts["why"] = state.why
            facts["refresh"] = SECONDS_BETWEEN_VIEWS if state.again else None
        else:
            found = state.first(view.table, (page - 1) * ON_A_PAGE, ON_A_PAGE)
            facts |= {"audit": state, "found": found, "neighbours": _neighbours, "image_ids": _image_ids(of, found)}
        return rendering.page(request, "audit.html", **facts)

    return await in_thread(show)


@router.get("/datasets/{dataset}/partitions/{partition}/audit/{table}.csv")
async def audit_as_csv(of: Shown, table: Table) -> Response:
    """A table of the audit as CSV, whole; 404 while it is not computed. To ask for it begins that too."""

    def find() -> Response:
        from imagefeatures.audits.kept import Audit

        state = None if _too_much(of) else _audits(of.settings).of(of.layout)
        if not isinstance(state, Audit):
            raise NotShown(f"The audit of {of.dataset} {of.key} is not computed yet: its page says how far it is.")
        return FileResponse(state.file(table), media_type="text/csv", filename=f"{table}-{of.run_id}.csv")

    return await in_thread(find)


@lru_cache(1)
def _audits(settings: Settings) -> KeptAudits:
    from imagefeatures.audits.kept import KeptAudits

    return KeptAudits(settings)


def _too_much(of: Partition) -> str | None:
    """Why a partition is not audited for the page; None where it is."""
    from imagefeatures.audits.kept import MOST_PHOTOS

    if not of.has_vectors:
        return "The partition has pixels alone: without vectors there are no neighbours."
    if of.row["registered"] > MOST_PHOTOS:
        return (
            f"The partition has {of.row['registered']:,} photos, and the page audits up to {MOST_PHOTOS:,}. Larger "
            f"ones, and several partitions together, by a command: {program()} audit {of.dataset} --partition "
            f"{of.key} --to FOLDER"
        )
    return None if of.row["registered"] else f"{names.table_name(of.table)} has no photos of this partition."


def _neighbours(row: dict[str, str]) -> list[str]:
    """The URIs of the nearest neighbours, as the file has them: one a line."""
    return row["neighbours"].split("\n")[:NEIGHBOURS]


def _image_ids(of: Partition, found: list[dict[str, str]]) -> dict[str, str]:
    """The SHA-256 of the photos that some rows name, by their URIs, for their thumbnails."""
    import pyarrow as pa
    import pyarrow.compute as pc

    uris = {row[name] for row in found for name in ("uri", "other_uri") if name in row}
    uris |= {uri for row in found if "neighbours" in row for uri in _neighbours(row)}
    photos = rows.photos(of)
    named = photos.filter(pc.is_in(photos["uri"], pa.array(sorted(uris), pa.string())))
    return dict(zip(named["uri"].to_pylist(), named["image_id"].to_pylist(), strict=True))
