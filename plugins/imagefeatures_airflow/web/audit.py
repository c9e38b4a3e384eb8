"""Labels that are probably wrong, and photos that are there twice: what `imagefeatures audit` finds.

Of one partition, or of all published ones of a dataset, among which copies of each other may be. It is computed once,
when somebody looks for the first time (`imagefeatures.audits.kept`): the page says how long that may take, and for how
many photos it is too much.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse

from imagefeatures import names
from imagefeatures.settings import Settings, program
from imagefeatures_airflow.web import access, downloads, rendering, rows
from imagefeatures_airflow.web.partitions import NotShown, Partition, Shown, with_vectors
from imagefeatures_airflow.web.threads import in_thread

if TYPE_CHECKING:
    import pyarrow as pa

    from imagefeatures.audits.kept import KeptAudits
    from imagefeatures.maps.choice import Choice

ON_A_PAGE = 25
NEIGHBOURS = 4
"""So many neighbours of a photo are shown beside it, the nearest first."""

SECONDS_BETWEEN_VIEWS = 5
"""After which the page asks for itself again while the audit is under way."""

MOST_PAGE = 1_000_000
"""The last page that can be asked for. What comes before a page is read over."""

Table = Literal["labels", "duplicates"]
Kind = Literal["csv", "parquet"]
Page = Annotated[int, Query(ge=1, le=MOST_PAGE)]

TYPES = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}
"""The media types of the files of a table."""

router = APIRouter()


@dataclass(frozen=True)
class View:
    """Which of the two tables is shown."""

    table: Table = "labels"


@dataclass(frozen=True)
class Audited:
    """What is audited. partitions: one of a dataset, or all of its published ones that have vectors, newest first.

    every: whether it is all of them, which may be one.
    """

    partitions: list[Partition]
    every: bool

    @property
    def any_of(self) -> Partition:
        return self.partitions[0]

    @property
    def dataset(self) -> str:
        return self.any_of.dataset

    @property
    def photos(self) -> int:
        return sum(one.row["registered"] for one in self.partitions)

    @property
    def choice(self) -> Choice:
        from imagefeatures.maps.choice import Choice

        return Choice.of(self.dataset, [one.row for one in self.partitions])

    @property
    def name(self) -> str:
        """What a file of its tables is called after."""
        return self.dataset if self.every else self.any_of.run_id

    @property
    def command(self) -> str:
        chosen = "" if self.every else f" --partition {self.any_of.key}"
        return f"{program()} audit {self.dataset}{chosen} --to FOLDER"


async def every(user: access.User, dataset: str) -> Audited:
    """The guard of a route with `dataset`: all its partitions. Raises NotShown where a user may see none."""
    if not (found := await with_vectors(user, dataset)):
        raise NotShown(f"Dataset {dataset} has no vectors published, or none that you may see.")
    return Audited(found, every=True)


Every = Annotated[Audited, Depends(every)]


@router.get("/datasets/{dataset}/partitions/{partition}/audit")
async def audit(request: Request, of: Shown, view: Annotated[View, Depends()], page: Page = 1) -> HTMLResponse:
    """The labels in doubt or the duplicates of a partition; or how far their audit is."""
    return await in_thread(lambda: _shown(request, Audited([of], every=False), view, page))


@router.get("/datasets/{dataset}/audit")
async def audit_of_every(request: Request, of: Every, view: Annotated[View, Depends()], page: Page = 1) -> HTMLResponse:
    """The same of all published partitions together."""
    return await in_thread(lambda: _shown(request, of, view, page))


@router.get("/datasets/{dataset}/partitions/{partition}/audit/{table}.{kind}")
async def audit_file(of: Shown, table: Table, kind: Kind) -> Response:
    """A table of the audit as a file, whole; 404 while it is not computed. To ask for it begins that too."""
    return await in_thread(lambda: _file(Audited([of], every=False), table, kind))


@router.get("/datasets/{dataset}/audit/{table}.{kind}")
async def audit_file_of_every(of: Every, table: Table, kind: Kind) -> Response:
    """The same of all published partitions together."""
    return await in_thread(lambda: _file(of, table, kind))


def _shown(request: Request, of: Audited, view: View, page: int) -> HTMLResponse:
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
    state = _audits(of.any_of.settings).of(of.choice)
    if isinstance(state, UnderWay):
        facts["why"] = f"The audit is being computed, since {state.seconds:.0f} s. The page asks again by itself."
        facts["refresh"] = SECONDS_BETWEEN_VIEWS
    elif isinstance(state, Waits):
        facts["why"] = state.why
        facts["refresh"] = SECONDS_BETWEEN_VIEWS if state.again else None
    else:
        found = state.first(view.table, (page - 1) * ON_A_PAGE, ON_A_PAGE)
        facts |= {"audit": state, "found": found, "neighbours": _neighbours, "pictured": _pictured(of, found)}
    return rendering.page(request, "audit.html", **facts)


def _file(of: Audited, table: Table, kind: Kind) -> Response:
    from imagefeatures.audits.kept import Audit

    state = None if _too_much(of) else _audits(of.any_of.settings).of(of.choice)
    if not isinstance(state, Audit):
        whose = "all partitions" if of.every else of.any_of.key
        raise NotShown(f"The audit of {of.dataset} {whose} is not computed yet: its page says how far it is.")
    headers = {"Content-Disposition": f'attachment; filename="{table}-{of.name}.{kind}"'}
    written = downloads.without_secrets_in(state.file(table, kind))
    return Response(written, media_type=TYPES[kind], headers=headers)


@lru_cache(1)
def _audits(settings: Settings) -> KeptAudits:
    from imagefeatures.audits.kept import KeptAudits

    return KeptAudits(settings)


def _too_much(of: Audited) -> str | None:
    """Why partitions are not audited for the page; None where they are."""
    from imagefeatures.audits.kept import MOST_PHOTOS

    if not of.any_of.has_vectors:
        return "The partition has pixels alone: without vectors there are no neighbours."
    whose = "The partition has" if not of.every else "The published partitions have"
    if len({one.row["fingerprint"] for one in of.partitions}) > 1:
        return (
            "The vectors of the published partitions were computed in several ways, and do not compare: look at the "
            "audit of each."
        )
    if of.photos > MOST_PHOTOS:
        return (
            f"{whose} {of.photos:,} photos, and the page audits up to {MOST_PHOTOS:,}. More are audited by a command: "
            f"{of.command}"
        )
    if of.photos:
        return None
    return f"{names.table_name(of.any_of.table)} has no photos of {'any' if of.every else 'this'} partition."


def _neighbours(row: dict[str, str]) -> list[str]:
    """The URIs of the nearest neighbours, as the file has them: one a line."""
    return row["neighbours"].split("\n")[:NEIGHBOURS]


def _pictured(of: Audited, found: list[dict[str, str]]) -> dict[tuple[str, str | None], tuple[str, str]]:
    """Partition key and SHA-256 of the photos that some rows name, for their thumbnails, by URI and partition key.

    A neighbour is named by its URI alone: with None as the key it is the first photo of that URI.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    uris = {row[name] for row in found for name in ("uri", "other_uri") if name in row}
    uris |= {uri for row in found if "neighbours" in row for uri in _neighbours(row)}
    photos = _photos(of)
    pictured: dict[tuple[str, str | None], tuple[str, str]] = {}
    for row in photos.filter(pc.is_in(photos["uri"], pa.array(sorted(uris), pa.string()))).to_pylist():
        uri, key = row["uri"], row.get("partition_key", of.any_of.key)
        pictured[uri, key] = key, row["image_id"]
        pictured.setdefault((uri, None), pictured[uri, key])
    return pictured


def _photos(of: Audited) -> pa.Table:
    """URI and SHA-256 of the photos; and the partition key of each, where there are several."""
    return rows.photos(of.any_of) if len(of.partitions) == 1 else rows.photos_together(of.partitions)
