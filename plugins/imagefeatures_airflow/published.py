"""What the page shows: dataset files, the rows of features.runs, and which of them a user may see. Reads only."""

from __future__ import annotations

import datetime as dt
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import anyio
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
from airflow.models.dag import DagModel
from airflow.models.xcom import XCOM_RETURN_KEY, XComModel
from sqlalchemy.orm import Session

from imagefeatures import names
from imagefeatures.datasets import Dataset, load_datasets
from imagefeatures.errors import ParamsError, SettingsError
from imagefeatures.layout import Layout
from imagefeatures.settings import Settings

CATALOG_SECONDS = 15.0
"""How long a reader waits for the catalog before the page says that it cannot be read."""

Row = dict[str, Any]
log = logging.getLogger(__name__)


class Unavailable(Exception):
    """What is published cannot be read now; the text is one line for the page, without any secret."""


@dataclass(frozen=True)
class Shelf:
    """One dataset as the page shows it.

    file: None when the dataset file is gone, or malformed. runs: its rows of features.runs, newest partition first.
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


def shelves(user: BaseUser, only: str | None = None) -> tuple[list[Shelf], list[str]]:
    """The datasets that the user may see, in order of name; and what is wrong with malformed dataset files.

    A dataset is known by its file, by what is published of it, or by both.
    only: the one dataset whose rows are wanted. Raises Unavailable.
    """
    settings = _settings()
    files, errors = load_datasets(settings.datasets)
    by_name = {file.name: file for file in files}
    runs: dict[str, list[Row]] = {name: [] for name in by_name}
    for row in anyio.from_thread.run(_runs, settings, only):
        runs.setdefault(row["dataset"], []).append(row)
    names = sorted(_readable(user, runs))
    return [Shelf(name, by_name.get(name), runs[name]) for name in names], [str(error) for error in errors]


def shelf(user: BaseUser, dataset: str) -> Shelf | None:
    """One dataset; None when there is none of that name, or none that the user may see. Raises Unavailable."""
    return next((found for found in shelves(user, dataset)[0] if found.name == dataset), None)


def planned(session: Session, dag_id: str, run_id: str) -> Layout | None:
    """The run that the task `plan` of this DAG run settled; None before that."""
    result = XComModel.get_many(dag_ids=dag_id, run_id=run_id, task_ids="plan", key=XCOM_RETURN_KEY, limit=1)
    found = session.execute(result.with_only_columns(XComModel.value)).first()
    try:
        return Layout.of_run_file(str(XComModel.deserialize_value(found)), _settings().lake) if found else None
    except ParamsError:
        return None  # it was planned for another lake


def _settings() -> Settings:
    try:
        return Settings.from_env()
    except SettingsError as error:
        raise Unavailable(str(error)) from None


def _readable(user: BaseUser, datasets: Iterable[str]) -> set[str]:
    """Those datasets whose DAG the user may read."""
    dags = {names.dag_id(name): name for name in datasets}
    teams = DagModel.get_dag_id_to_team_name_mapping(list(dags))
    may = get_auth_manager().is_authorized_dag
    return {
        name
        for dag_id, name in dags.items()
        if may(method="GET", user=user, details=DagDetails(id=dag_id, team_name=teams.get(dag_id)))
    }


async def _runs(settings: Settings, dataset: str | None) -> list[Row]:
    """features.runs, within CATALOG_SECONDS. Raises Unavailable."""

    def read() -> list[Row]:
        from imagefeatures.read import runs  # not before the first look: pyiceberg takes a second

        return runs(settings, dataset)

    try:
        with anyio.fail_after(CATALOG_SECONDS):
            return await anyio.to_thread.run_sync(read, abandon_on_cancel=True)
    except Exception as error:
        # Drivers quote the catalog's URL in their messages, and it may hold a password: only the kind is told.
        kind = type(error).__name__
        log.warning("image features: the catalog cannot be read: %s", kind)
        raise Unavailable(
            f"The catalog cannot be read now ({kind}). Check that what IMAGEFEATURES_CATALOG names is running, "
            "and that Airflow's API server may connect to it."
        ) from None
