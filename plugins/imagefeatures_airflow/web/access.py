"""Who may see what. Airflow's auth manager decides; this module asks it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated, Literal
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import get_user, requires_access_dag
from airflow.models.dag import DagModel
from fastapi import Depends, HTTPException, Request

from imagefeatures import names

KNOWN_USER = Depends(get_user)
"""The guard of every route: 401 for a user whom Airflow does not know."""

READER_OF_XCOM = Depends(requires_access_dag("GET", DagAccessEntity.XCOM))
"""The guard of a route with `dag_id`: 403 for a user who may not read what the DAG's tasks return."""

TRIGGERER = Depends(requires_access_dag("POST", DagAccessEntity.RUN))
"""The guard of a route with `dag_id`: 403 for a user who may not start runs of the DAG."""


async def _own_form(request: Request) -> None:
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is None and origin is None:  # no browser, or an old one: what it sends with a cookie may be another site's
        own = "Authorization" in request.headers
    elif site is None:
        own = urlsplit(str(origin)).netloc == request.headers.get("Host")
    else:
        own = site == "same-origin"
    if not own:
        raise HTTPException(403, "This request is not from a page of this Airflow: open the page, and press its button")


OWN_FORM = Depends(_own_form)
"""The guard of a route that changes something: 403 for what a page of another site makes a browser send.

By what browsers say of a request's origin: Sec-Fetch-Site, or over plain HTTP, where there is none, Origin.
"""

User = Annotated[BaseUser, KNOWN_USER]


def readable(user: BaseUser, datasets: Iterable[str]) -> set[str]:
    """The datasets whose DAG the user may read."""
    dags = {names.dag_id(name): name for name in datasets}
    return {dags[dag_id] for dag_id in _readable_dags(user, None, dags)}


def dags_with_readable_runs(user: BaseUser, datasets: Iterable[str]) -> set[str]:
    """The DAGs of the datasets, and of their re-drives, whose runs, and their states, the user may see."""
    return _readable_dags(
        user, DagAccessEntity.RUN, [of(name) for name in datasets for of in (names.dag_id, names.redrive_dag_id)]
    )


def may_trigger(user: BaseUser, dag_id: str) -> bool:
    """Whether the user may start runs of the DAG."""
    return _may(user, "POST", DagAccessEntity.RUN, dag_id)


def may_read_logs(user: BaseUser, dag_id: str) -> bool:
    """Whether the user may read what the DAG's tasks have logged: places of files, names of hosts."""
    return _may(user, "GET", DagAccessEntity.TASK_LOGS, dag_id)


def may_see_runs(user: BaseUser, dag_id: str) -> bool:
    """Whether the user may see the DAG's runs: their states, and what they were started with."""
    return _may(user, "GET", DagAccessEntity.RUN, dag_id)


def _readable_dags(user: BaseUser, entity: DagAccessEntity | None, dags: Collection[str]) -> set[str]:
    """Those of which the user may read this: one question to Airflow's database, however many there are."""
    teams = DagModel.get_dag_id_to_team_name_mapping(list(dags))
    may = get_auth_manager().is_authorized_dag
    return {
        dag_id
        for dag_id in dags
        if may(
            method="GET",
            access_entity=entity,
            user=user,
            details=DagDetails(id=dag_id, team_name=teams.get(dag_id)),
        )
    }


def _may(user: BaseUser, method: Literal["GET", "POST"], entity: DagAccessEntity, dag_id: str) -> bool:
    team = DagModel.get_dag_id_to_team_name_mapping([dag_id]).get(dag_id)
    details = DagDetails(id=dag_id, team_name=team)
    return get_auth_manager().is_authorized_dag(method=method, access_entity=entity, user=user, details=details)


def may_see_import_errors(user: BaseUser) -> bool:
    return get_auth_manager().is_authorized_view(access_view=AccessView.IMPORT_ERRORS, user=user)
