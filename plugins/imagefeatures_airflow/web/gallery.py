"""The photos of a partition as thumbnails, with their labels: of one label or of all, in several orders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from imagefeatures_airflow.web import rendering, rows
from imagefeatures_airflow.web.partitions import Partition, Shown
from imagefeatures_airflow.web.threads import in_thread

if TYPE_CHECKING:
    import pyarrow as pa

ON_A_PAGE = 60

MOST_LABELS = 200
"""So many labels, the most frequent ones, can be chosen."""

UNLABELLED = "none"
"""The choice of photos without a label. That of a label is the label after an equals sign: there may be one `none`."""

ORDERS = {
    "uri": ("Name", "uri", "ascending"),
    "farthest": ("Least like their label first", "distance", "descending"),
    "nearest": ("Most like their label first", "distance", "ascending"),
    "largest": ("Largest file first", "size", "descending"),
    "smallest": ("Smallest file first", "size", "ascending"),
}
"""How photos can be ordered: what the page says, the column, and its direction."""

router = APIRouter()


@dataclass(frozen=True)
class View:
    """What is shown. label: empty, or one of the choices. sort: one of ORDERS."""

    label: str = ""
    sort: Literal["uri", "farthest", "nearest", "largest", "smallest"] = "uri"


@router.get("/datasets/{dataset}/partitions/{partition}/gallery")
async def gallery(
    request: Request, of: Shown, view: Annotated[View, Depends()], page: Annotated[int, Query(ge=1)] = 1
) -> HTMLResponse:
    """The registered photos of a partition."""

    def show() -> HTMLResponse:
        if ORDERS[view.sort][1] == "distance" and not of.has_vectors:
            text = (
                f"{of.dataset} {of.key} has pixels alone: without vectors there are no distances. Choose another order."
            )
            return rendering.message(request, "No distances", text)
        facts = photos(of, view, page)
        orders = [
            (name, title) for name, (title, column, _) in ORDERS.items() if column != "distance" or of.has_vectors
        ]
        facts |= {"of": of, "view": view, "page": page, "on_a_page": ON_A_PAGE, "orders": orders}
        return rendering.page(request, "gallery.html", most_rows=rows.MOST_ROWS, most_labels=MOST_LABELS, **facts)

    return await in_thread(show)


def photos(of: Partition, view: View, page: int) -> dict[str, Any]:
    """The photos of a page, how many fit, how many were read, and the labels to choose from. Blocks."""
    import pyarrow.compute as pc

    _, column, direction = ORDERS[view.sort]
    read: Callable[[Partition], pa.Table] = rows.photos_with_distances if column == "distance" else rows.photos
    whole = read(of)
    fitting = whole
    if view.label == UNLABELLED:
        fitting = whole.filter(pc.is_null(whole["label"]))
    elif view.label:
        fitting = whole.filter(pc.equal(whole["label"], view.label.removeprefix("=")))
    order = pc.sort_indices(fitting, [(column, direction), ("uri", "ascending")])
    chosen = fitting.take(order.slice(min((page - 1) * ON_A_PAGE, len(order)), ON_A_PAGE))
    counts = sorted(pc.value_counts(whole["label"]).to_pylist(), key=lambda one: (-one["counts"], one["values"] or ""))
    labels = [
        (f"={one['values']}", one["values"], one["counts"])
        if one["values"] is not None
        else (UNLABELLED, None, one["counts"])
        for one in counts
        if len(one["values"] or "") <= rendering.LONGEST_LABEL  # a longer one fits into no address
    ]
    choices = labels[:MOST_LABELS]
    if view.label and view.label not in [value for value, _, _ in choices]:  # rarer, or of an address
        own = None if view.label == UNLABELLED else view.label.removeprefix("=")
        choices.append((view.label, own, len(fitting)))
    return {
        "photos": chosen.to_pylist(),
        "fitting": len(fitting),
        "read": len(whole),
        "labels": choices,
        "all_labels": len(labels),
    }
