"""The page of quarantined objects: which there are, what is wrong with each, and what to do.

Which partitions have some, and for which reasons, is known from the rows of features.runs. The objects themselves are
read of one partition, or of the newest PARTITIONS that fit; the page says so where there are more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse

from imagefeatures.remedies import REMEDIES
from imagefeatures.settings import Settings
from imagefeatures_airflow.web import access, downloads, rendering, rows
from imagefeatures_airflow.web.actions import MOST_URIS, actions
from imagefeatures_airflow.web.datasets import current_settings
from imagefeatures_airflow.web.partitions import Partition, has_names_of_ours
from imagefeatures_airflow.web.published import Published, published
from imagefeatures_airflow.web.threads import in_thread

PARTITIONS = 3
"""The objects of so many partitions are read where none is chosen."""

LISTED = 12
"""So many partitions with quarantined objects are listed before the objects."""

ON_A_PAGE = 50

router = APIRouter()


@dataclass(frozen=True)
class Filter:
    """What is looked for; an empty text is everything. text: a part of the URI or of the detail, in any case."""

    dataset: str = ""
    partition: str = ""
    reason: str = ""
    text: str = ""


@dataclass(frozen=True)
class Found:
    """What fits a filter: partitions, newest first; which of them were read; their objects that fit.

    datasets, reasons: what there is to choose from. cut: whether a partition has more objects than are read.
    """

    datasets: list[str]
    reasons: list[str]
    partitions: list[Partition]
    read: list[Partition]
    objects: list[tuple[Partition, rows.Rejected]]
    cut: bool


def find(user: BaseUser, settings: Settings, runs: Published, wanted: Filter) -> Found:
    """Blocks. Raises Unavailable."""
    datasets = sorted(access.readable(user, runs))
    rejecting = (row for name in datasets for row in runs[name] if row["quarantined"] and has_names_of_ours(row))
    of_all = [Partition(settings, row) for row in rejecting]
    partitions = [
        of
        for of in of_all
        if wanted.dataset in ("", of.dataset)
        and wanted.partition in ("", of.key)
        and (not wanted.reason or wanted.reason in dict(of.row["reasons"]))
    ]
    partitions.sort(key=lambda of: (of.key, of.row["finished_at"]), reverse=True)
    read = partitions[:PARTITIONS]
    objects = [(of, row) for of in read for row in rows.matching(rows.rejected(of), wanted.reason, wanted.text)]
    cut = any(of.row["quarantined"] > rows.MOST_REJECTED for of in read)
    reasons = sorted({reason for of in of_all for reason in dict(of.row["reasons"])})
    return Found(datasets, reasons, partitions, read, objects, cut)


def chosen(settings: Settings, runs: Published, found: Found, wanted: Filter) -> Partition | None:
    """The published partition that a filter names, whether or not it has quarantined objects; None where it names none.

    found: with the datasets that the user may see.
    """
    of_dataset = runs[wanted.dataset] if wanted.dataset in found.datasets else []
    row = next((row for row in of_dataset if row["partition_key"] == wanted.partition), None)
    return Partition(settings, row) if row and has_names_of_ours(row) else None


@router.get("/quarantine")
async def quarantine(
    request: Request, user: access.User, wanted: Annotated[Filter, Depends()], page: Annotated[int, Query(ge=1)] = 1
) -> HTMLResponse:
    """Quarantined objects of the datasets that the user may see."""
    settings = current_settings()
    runs = await published(settings)

    def show() -> HTMLResponse:
        found = find(user, settings, runs, wanted)
        of = chosen(settings, runs, found, wanted)
        facts: dict[str, Any] = {
            "found": found,
            "filter": wanted,
            "page": page,
            "on_a_page": ON_A_PAGE,
            "listed": LISTED,
        }
        facts |= {"remedies": REMEDIES, "chosen": of, "actions": actions(user, of) if of else {}}
        return rendering.page(request, "quarantine.html", most_rows=rows.MOST_REJECTED, most_uris=MOST_URIS, **facts)

    return await in_thread(show)


@router.get("/quarantine.csv")
async def quarantine_as_csv(user: access.User, wanted: Annotated[Filter, Depends()]) -> Response:
    """The objects that the page shows with this filter, as CSV."""
    settings = current_settings()
    runs = await published(settings)
    found = await in_thread(lambda: find(user, settings, runs, wanted))
    named = ({"dataset": of.dataset, "partition_key": of.key, **row} for of, row in found.objects)
    return await downloads.csv_of(named, "quarantine", ("dataset", "partition_key"))
