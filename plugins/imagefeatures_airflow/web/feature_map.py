"""The feature map of some partitions of a dataset: their vectors on a plane, with photos and nearest neighbours.

It is computed once for what is published (`imagefeatures.maps`): by a command, or when somebody looks for the first
time. The page has the labels as a table; points, and the facts of single photos, are JSON for its script. A photo is
asked for by its number on the map, and the map says which object that is: no address can lead to anything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from imagefeatures import names
from imagefeatures.reasons import without_secrets
from imagefeatures.settings import Settings, program
from imagefeatures_airflow.web import access, map_points, rendering, rows, thumbnails
from imagefeatures_airflow.web.datasets import current_settings
from imagefeatures_airflow.web.partitions import NotShown, Partition, has_names_of_ours, with_vectors
from imagefeatures_airflow.web.published import Row, published
from imagefeatures_airflow.web.threads import OF_THUMBNAILS, in_thread

if TYPE_CHECKING:
    from imagefeatures.maps.choice import Choice
    from imagefeatures.maps.on_look import MapsOnLook
    from imagefeatures.maps.stored import StoredMap

MOST_PARTITIONS = 400
"""So many partitions can be chosen one by one, and the newest as many are listed: each is a part of the address."""

SECONDS_BETWEEN_VIEWS = 5
"""After which the page asks for itself again while the map is under way."""

router = APIRouter()


@dataclass(frozen=True)
class Chosen:
    """The partitions of a dataset that a user may see and has chosen. with_vectors: all that can be on a map."""

    settings: Settings
    dataset: str
    with_vectors: list[Row]
    rows: list[Row]

    @property
    def listed(self) -> list[Row]:
        """Those to choose from: the newest, and older ones that were chosen one by one."""
        newest, older = self.with_vectors[:MOST_PARTITIONS], self.with_vectors[MOST_PARTITIONS:]
        if len(self.rows) > MOST_PARTITIONS:  # all of them
            return newest
        own = {row["partition_key"] for row in self.rows}
        return newest + [row for row in older if row["partition_key"] in own]


async def chosen(
    user: access.User, dataset: str, partition: Annotated[list[str] | None, Query()] = None, every: bool = False
) -> Chosen:
    """What is asked for: `every` partition, or these; by default the newest one. Raises NotShown and Unavailable."""
    if partition and len(partition) > MOST_PARTITIONS:
        raise NotShown(f"At most {MOST_PARTITIONS} partitions can be chosen one by one. Choose all of them, or fewer.")
    rows_of_dataset = [of.row for of in await with_vectors(user, dataset)]
    wanted = {row["partition_key"] for row in rows_of_dataset} if every else set(partition or ())
    wanted = wanted or {row["partition_key"] for row in rows_of_dataset[:1]}
    found = [row for row in rows_of_dataset if row["partition_key"] in wanted]
    if not found or len(found) < len(wanted):
        raise NotShown(f"Dataset {dataset} has no vectors published for these partitions, or none that you may see.")
    return Chosen(current_settings(), dataset, rows_of_dataset, found)


@dataclass(frozen=True)
class Shown:
    """A map of the lake that a user may see. partitions: those of the dataset, by key."""

    dataset: str
    digest: str
    found: StoredMap
    partitions: dict[str, Partition]


async def shown(
    user: access.User, dataset: str, digest: Annotated[str, Path(pattern="^[0-9a-f]{32}$")], made: str = ""
) -> Shown:
    """The map of that name. Raises NotShown unless all that it shows is published, and the user may see that.

    made: when it was made. After an image was forgotten the map of the same partitions has other photos at its numbers:
    a page that still shows the one before, and pictures that a browser has kept, are of that one.
    """
    settings = current_settings()
    runs = (await published(settings)).get(dataset, [])
    partitions = {str(row["partition_key"]): Partition(settings, row) for row in runs if has_names_of_ours(row)}

    def find() -> StoredMap | None:
        if not partitions or not access.readable(user, {dataset}):
            return None
        found = rows.readable(next(iter(partitions.values())), lambda: _maps(settings).kept(dataset, digest))
        if not found or found.facts["made_at"] != made:
            return None
        shows = found.facts["runs"]
        return found if all(key in partitions and partitions[key].run_id == run_id for key, run_id in shows) else None

    if (found := await in_thread(find)) is None:
        raise NotShown(f"Dataset {dataset} has no such map, or none that you may see. Load the page of the map again.")
    return Shown(dataset, digest, found, partitions)


@router.get("/datasets/{dataset}/map")
async def feature_map(request: Request, of: Annotated[Chosen, Depends(chosen)]) -> HTMLResponse:
    """The map of the chosen partitions; or how far it is."""

    def show() -> HTMLResponse:
        from imagefeatures.maps import compute
        from imagefeatures.maps.choice import Choice

        choice = Choice.of(of.dataset, of.rows)
        maps, any_of = _maps(of.settings), Partition(of.settings, of.rows[0])
        found = rows.readable(any_of, lambda: maps.kept(of.dataset, choice.digest))
        facts: dict[str, Any] = {"of": of, "chosen": set(choice.partitions), "digest": choice.digest, "map": found}
        facts |= {"projected": compute.PROJECTED, "why": None, "refresh": None, "most_listed": MOST_PARTITIONS}
        if found:
            facts |= {"labels": map_points.labels(found), "all_labels": map_points.count_labels(found)}
        else:
            facts["why"], facts["refresh"] = _begun(of, maps, choice)
        return rendering.page(request, "map.html", **facts)

    return await in_thread(show)


@router.get("/datasets/{dataset}/maps/{digest}/points")
async def points(of: Annotated[Shown, Depends(shown)]) -> Response:
    """Where each photo lies and which label it has, as JSON: see `map_points.as_json`."""
    return Response(await in_thread(lambda: map_points.as_json(of.found)), media_type="application/json")


@router.get("/datasets/{dataset}/maps/{digest}/photos/{point}")
async def photo(
    request: Request, of: Annotated[Shown, Depends(shown)], point: Annotated[int, Path(ge=0)]
) -> JSONResponse:
    """A photo of the map and its nearest others by cosine, the nearest first; 404 where there is none."""
    rows_of_map = of.found.points
    if point >= len(rows_of_map):
        raise NotShown("The map has no such photo.")
    row = rows_of_map.slice(point, 1).to_pylist()[0]
    near = [(other, cosine) for other, cosine in zip(row["near"], row["cosines"], strict=True)]
    root = request.scope["root_path"].rstrip("/")

    def facts(number: int) -> dict[str, Any]:
        one = rows_of_map.slice(number, 1).select(["uri", "partition_key", "label"]).to_pylist()[0]
        uri = without_secrets(one["uri"])
        address = rendering.path("datasets", of.dataset, "maps", of.digest, "photos", str(number))
        return {
            "point": number,
            "uri": uri,
            "name": uri.rpartition("/")[2],
            "label": one["label"],
            "partition": one["partition_key"],
            "thumbnail": f"{root}/{address}/thumbnail?{urlencode({'made': of.found.facts['made_at']})}",
        }

    others = [facts(number) | {"cosine": round(cosine, 4)} for number, cosine in near]
    return JSONResponse(facts(point) | {"near": others})


@router.get("/datasets/{dataset}/maps/{digest}/photos/{point}/thumbnail")
async def thumbnail(of: Annotated[Shown, Depends(shown)], point: Annotated[int, Path(ge=0)]) -> Response:
    """A JPEG of a photo of the map; 404 where there is none, without a body."""

    def make() -> bytes | None:
        if point >= len(of.found.points):
            return None
        from imagefeatures.thumbnails.make import TableObject

        row = of.found.points.slice(point, 1).to_pylist()[0]
        return thumbnails.made(of.partitions[row["partition_key"]], TableObject(row["uri"], row["image_id"]))

    return thumbnails.response(await in_thread(make, OF_THUMBNAILS))


@lru_cache(1)
def _maps(settings: Settings) -> MapsOnLook:
    from imagefeatures.maps.on_look import MapsOnLook

    return MapsOnLook(settings)


def _begun(of: Chosen, maps: MapsOnLook, choice: Choice) -> tuple[str, int | None]:
    """Begin a map that is not there, if it may be. Returns why it is not there, and when to look again, in seconds."""
    from imagefeatures.background import UnderWay

    if why := _too_much(of):
        return why, None
    any_of = Partition(of.settings, of.rows[0])
    if not rows.readable(any_of, maps.may_write):
        return (
            "Airflow's API server may not write into the lake, where maps are kept. This page shows the map once a "
            f"command has made it that may: {_command(of)}"
        ), None
    state = rows.readable(any_of, lambda: maps.begin(choice))
    if isinstance(state, UnderWay):
        said = f"The map is being computed, since {state.seconds:.0f} s. The page asks again by itself."
        return said, SECONDS_BETWEEN_VIEWS
    return state.why, SECONDS_BETWEEN_VIEWS if state.again else None


def _too_much(of: Chosen) -> str | None:
    """Why no map of these partitions is begun for the page; None where it is."""
    from imagefeatures.maps.on_look import MOST_PHOTOS

    if len({row["fingerprint"] for row in of.rows}) > 1:
        return "The vectors of these partitions were computed in several ways, and do not compare: choose others."
    if (photos := sum(row["registered"] for row in of.rows)) > MOST_PHOTOS:
        return (
            f"These partitions have {photos:,} photos, and a look begins maps of up to {MOST_PHOTOS:,}. Of more a "
            f"command makes one, and this page shows it: {_command(of)}"
        )
    return None if photos else f"{names.table_name(of.dataset)} has no photos of these partitions."


def _command(of: Chosen) -> str:
    """The command that makes the map of these partitions."""
    chosen = (f"--partition {row['partition_key']}" for row in of.rows if len(of.rows) < len(of.with_vectors))
    return " ".join([program(), "map", of.dataset, *chosen])
