"""The pages of datasets: every dataset that a user may see, one dataset, one partition.

They show dataset files and the rows of features.runs. Nothing is written.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any

import anyio
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from imagefeatures import names
from imagefeatures.dataset_files import load_datasets
from imagefeatures.datasets import Dataset
from imagefeatures.errors import SettingsError
from imagefeatures.settings import Settings
from imagefeatures_airflow.web import access, rendering

LATEST = 10
"""Partitions of each dataset on the first page."""

CATALOG_SECONDS = 15.0
"""How long a reader waits for the catalog before the page says that it cannot be read."""

Row = dict[str, Any]
"""A row of features.runs."""

log = logging.getLogger(__name__)
router = APIRouter()


class Unavailable(Exception):
    """What is published cannot be read now. Its text is one line for the page and holds no secret."""


@dataclass(frozen=True)
class DatasetView:
    """One dataset as the page shows it.

    file: None when the dataset file is gone or malformed. runs: its rows of features.runs, newest partition first.
    """

    name: str
    file: Dataset | None
    runs: list[Row]

    @property
    def dag_id(self) -> str:
        return names.dag_id(self.name)

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """How many objects were quarantined for each reason, the most frequent first."""
        return sum((Counter(dict(row["reasons"])) for row in self.runs), Counter()).most_common()

    @property
    def last_published(self) -> dt.datetime:
        return max(row["finished_at"] for row in self.runs)

    def total(self, column: str) -> int:
        return sum(row[column] for row in self.runs)

    def partition(self, key: str) -> Row | None:
        return next((row for row in self.runs if row["partition_key"] == key), None)


@router.get("/")
def every_dataset(request: Request, user: access.User) -> HTMLResponse:
    """Every dataset that the user may see: its totals and its latest partitions."""
    views, errors = visible_datasets(user)
    if not access.may_see_import_errors(user):
        errors = []
    folder = current_settings().datasets
    return rendering.page(request, "index.html", datasets=views, errors=errors, latest=LATEST, folder=folder)


@router.get("/datasets/{dataset}")
def one_dataset(request: Request, user: access.User, dataset: str) -> HTMLResponse:
    """All partitions of one dataset."""
    if not (view := visible_dataset(user, dataset)):
        return _no_such_dataset(request, dataset)
    return rendering.page(request, "dataset.html", dataset=view, note=None)


@router.get("/datasets/{dataset}/partitions/{partition}")
def one_partition(request: Request, user: access.User, dataset: str, partition: str) -> HTMLResponse:
    """One partition of one dataset."""
    if not (view := visible_dataset(user, dataset)):
        return _no_such_dataset(request, dataset)
    if row := view.partition(partition):
        return rendering.page(request, "partition.html", dataset=view, row=row, note=None)
    text = f"Dataset {dataset} has nothing published for partition {partition}."
    return rendering.message(request, "Not published", text)


def visible_datasets(user: BaseUser, only: str | None = None) -> tuple[list[DatasetView], list[str]]:
    """The datasets that the user may see, in order of name; and what is wrong with malformed dataset files.

    A dataset is known by its file, by what is published of it, or by both.
    only: the one dataset whose rows are read; the others have no runs then. Raises Unavailable.
    """
    settings = current_settings()
    files, errors = load_datasets(settings.datasets)
    by_name = {file.name: file for file in files}
    runs: dict[str, list[Row]] = {name: [] for name in by_name}
    for row in anyio.from_thread.run(_published_runs, settings, only):
        runs.setdefault(row["dataset"], []).append(row)
    visible = sorted(access.readable(user, runs))
    return [DatasetView(name, by_name.get(name), runs[name]) for name in visible], [str(error) for error in errors]


def visible_dataset(user: BaseUser, name: str) -> DatasetView | None:
    """One dataset; None when there is none of that name that the user may see. Raises Unavailable."""
    return next((view for view in visible_datasets(user, name)[0] if view.name == name), None)


def current_settings() -> Settings:
    """The settings of Airflow's API server. Raises Unavailable when one is malformed."""
    try:
        return Settings.from_env()
    except SettingsError as error:
        raise Unavailable(str(error)) from None


async def _published_runs(settings: Settings, dataset: str | None) -> list[Row]:
    """features.runs, within CATALOG_SECONDS. Raises Unavailable."""

    def read() -> list[Row]:
        from imagefeatures.read import runs  # not before the first look: pyiceberg takes a second

        return runs(settings, dataset)

    try:
        with anyio.fail_after(CATALOG_SECONDS):
            return await anyio.to_thread.run_sync(read, abandon_on_cancel=True)
    except Exception as error:
        # Drivers quote the catalog's URL in their messages, and the URL may hold a password: show the kind alone.
        kind = type(error).__name__
        log.warning("image features: the catalog cannot be read: %s", kind)
        raise Unavailable(
            f"The catalog cannot be read now ({kind}). Check that what IMAGEFEATURES_CATALOG names is running, "
            "and that Airflow's API server may connect to it."
        ) from None


def _no_such_dataset(request: Request, name: str) -> HTMLResponse:
    return rendering.message(request, "No such dataset", f"There is no dataset {name}, or none that you may see.")
