"""The pages of datasets: every dataset that a user may see, one dataset, one partition.

They show dataset files and the rows of features.runs. Nothing is written. Each route is a coroutine that waits for the
rows (`published`) and leaves what blocks to the page's own threads (`threads`).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Annotated, Any

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from imagefeatures import names
from imagefeatures.cost import RunCost
from imagefeatures.dataset_files import load_datasets
from imagefeatures.datasets import Dataset
from imagefeatures.errors import DatasetError, SettingsError
from imagefeatures.settings import Settings
from imagefeatures_airflow.web import access, dag_runs, rendering
from imagefeatures_airflow.web.charts import Chart, charts
from imagefeatures_airflow.web.dag_runs import RunOfDag, runs_of
from imagefeatures_airflow.web.published import Published, Row, Unavailable, published
from imagefeatures_airflow.web.threads import in_thread
from imagefeatures_airflow.web.timeline import WORDS, Change, Timeline, fingerprint_changes, timeline

LATEST = 10
"""Partitions of each dataset in its table on the first page."""

RECENT = 60
"""The same in its strip."""

DRAWN = 10
"""So many datasets have strip, charts and table on the first page, those that were published last."""

ON_A_PAGE = 100
"""Partitions of a dataset in the table on its own page. The strip, the charts and the totals are of all."""

router = APIRouter()


@dataclass(frozen=True)
class DatasetView:
    """One dataset as the page shows it.

    file: None when the dataset file is gone or malformed. runs: its rows of features.runs, newest partition first.
    withdrawn: the partitions of which rows were taken back.
    """

    name: str
    file: Dataset | None
    runs: list[Row]
    withdrawn: Set[str]

    @property
    def dag_id(self) -> str:
        return names.dag_id(self.name)

    @property
    def has_vectors(self) -> bool:
        """Whether vectors are published: some runs publish pixels alone."""
        return any(map(names.has_vectors, self.runs))

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """How many objects were quarantined for each reason, the most frequent first."""
        return sum((Counter(dict(row["reasons"])) for row in self.runs), Counter()).most_common()

    @property
    def passed_over(self) -> list[tuple[str, int]]:
        """How many objects were not listed, by what passed them over, the most frequent first."""
        return sum((Counter(dict(row["passed_over"] or ())) for row in self.runs), Counter()).most_common()

    @property
    def last_published(self) -> dt.datetime:
        return max(row["finished_at"] for row in self.runs)

    def total(self, column: str) -> int:
        return sum(row[column] for row in self.runs)

    def partition(self, key: str) -> Row | None:
        return next((row for row in self.runs if row["partition_key"] == key), None)


@dataclass(frozen=True)
class History:
    """The partitions of a dataset over time. last_run: None where there is none that the user may see.

    drawing: makes the timeline, which is not always drawn. cut: whether more DAG runs are under way than are looked at.
    """

    runs: list[Row]
    drawing: Callable[[], Timeline]
    last_run: RunOfDag | None
    cut: bool

    @cached_property
    def timeline(self) -> Timeline:
        return self.drawing()

    @cached_property
    def charts(self) -> tuple[Chart, ...]:
        return charts(self.runs)

    @cached_property
    def changes(self) -> list[tuple[Row, list[Change]]]:
        return fingerprint_changes(self.runs)


@router.get("/")
async def every_dataset(request: Request, user: access.User) -> HTMLResponse:
    """Every dataset that the user may see: its totals and its latest partitions."""
    settings = current_settings()
    runs = await published(settings)

    def show() -> HTMLResponse:
        views, errors = visible_datasets(user, settings, runs)
        if not access.may_see_import_errors(user):
            errors = []
        facts = {"datasets": views, "errors": errors, "latest": LATEST, "folder": settings.datasets}
        facts |= {"histories": histories(user, settings, views), "recent": RECENT, "words": WORDS}
        facts["most_under_way"] = dag_runs.MOST
        facts |= {"drawn": drawn([view for view in views if view.runs]), "most_drawn": DRAWN}
        may_see = runs.upkeeps and access.may_read_logs(user, names.UPKEEP_DAG)
        facts["upkeeps"] = runs.upkeeps if may_see else []
        return rendering.page(request, "index.html", **facts)

    return await in_thread(show)


@router.get("/datasets/{dataset}")
async def one_dataset(
    request: Request, user: access.User, dataset: str, page: Annotated[int, Query(ge=1)] = 1
) -> HTMLResponse:
    """The partitions of one dataset, ON_A_PAGE at a time, the newest first."""
    settings = current_settings()
    runs = await published(settings)

    def show() -> HTMLResponse:
        if not (view := visible_dataset(user, settings, runs, dataset)):
            return _no_such_dataset(request, dataset)
        facts = history(user, settings, view) | {"page": page}
        return rendering.page(request, "dataset.html", dataset=view, note=None, given=None, **facts)

    return await in_thread(show)


@router.get("/datasets/{dataset}/partitions/{partition}")
async def one_partition(request: Request, user: access.User, dataset: str, partition: str) -> HTMLResponse:
    """One partition of one dataset."""
    settings = current_settings()
    runs = await published(settings)

    def show() -> HTMLResponse:
        if not (view := visible_dataset(user, settings, runs, dataset)):
            return _no_such_dataset(request, dataset)
        if row := view.partition(partition):
            cost = RunCost.of(row, settings.prices)
            return rendering.page(request, "partition.html", dataset=view, row=row, note=None, cost=cost)
        text = f"Dataset {dataset} has nothing published for partition {partition}."
        return rendering.message(request, "Not published", text)

    return await in_thread(show)


def histories(user: BaseUser, settings: Settings, views: Sequence[DatasetView]) -> dict[str, History]:
    """The history of each dataset, by its name: of its rows, and of the DAG runs that the user may see. Blocks."""
    seen = runs_of(settings, access.dags_with_readable_runs(user, [view.name for view in views]))
    now = dt.datetime.now(dt.UTC)
    return {
        view.name: History(
            view.runs,
            partial(
                timeline,
                view.runs,
                view.file,
                seen.under_way.get(view.name, {}),
                now,
                seen.first.get(view.name),
                view.withdrawn,
            ),
            seen.last.get(view.name),
            seen.cut,
        )
        for view in views
    }


def drawn(views: Sequence[DatasetView]) -> frozenset[str]:
    """The names of the DRAWN of these datasets that were published last. Each has a run."""
    return frozenset(view.name for view in sorted(views, key=lambda view: view.last_published)[-DRAWN:])


def history(user: BaseUser, settings: Settings, view: DatasetView) -> dict[str, Any]:
    """What the template of one dataset needs of its history. Blocks."""
    facts = {"history": histories(user, settings, [view])[view.name], "words": WORDS, "most_under_way": dag_runs.MOST}
    return facts | {"page": 1, "on_a_page": ON_A_PAGE}


def visible_datasets(user: BaseUser, settings: Settings, runs: Published) -> tuple[list[DatasetView], list[str]]:
    """The datasets that the user may see, in order of name; and what is wrong with malformed dataset files.

    A dataset is known by its file, by what is published of it, or by both. Blocks: reads the folder of dataset files,
    and asks Airflow's auth manager and its database.
    """
    files, errors = _load_datasets(settings.datasets, _state(settings.datasets))
    by_name = {file.name: file for file in files}
    visible = sorted(access.readable(user, by_name.keys() | runs.keys()))
    views = [
        DatasetView(name, by_name.get(name), runs.get(name, []), runs.withdrawn.get(name, set())) for name in visible
    ]
    return views, [str(error) for error in errors]


def visible_dataset(user: BaseUser, settings: Settings, runs: Published, name: str) -> DatasetView | None:
    """One dataset; None when there is none of that name that the user may see. Blocks, as `visible_datasets`."""
    return next((view for view in visible_datasets(user, settings, runs)[0] if view.name == name), None)


@lru_cache(1)
def _load_datasets(folder: Path, state: tuple[object, ...]) -> tuple[list[Dataset], list[DatasetError]]:
    """The dataset files, which take some 3 ms each: anew only where the folder's state is another one."""
    return load_datasets(folder)


def _state(folder: Path) -> tuple[object, ...]:
    """The names of the dataset files, and when each was written."""
    found = []
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        try:
            kept = path.stat()
            found.append((path.name, kept.st_mtime_ns, kept.st_size, kept.st_ino, kept.st_mode))
        except OSError:  # a link that leads nowhere
            found.append((path.name, None))
    return tuple(found)


def current_settings() -> Settings:
    """The settings of Airflow's API server. Raises Unavailable when one is malformed."""
    try:
        return Settings.from_env()
    except SettingsError as error:
        raise Unavailable(str(error)) from None


def _no_such_dataset(request: Request, name: str) -> HTMLResponse:
    return rendering.message(request, "No such dataset", f"There is no dataset {name}, or none that you may see.")
