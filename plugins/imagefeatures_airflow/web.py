"""The web page "Image features": what is published, as plain HTML without a script.

    /                                            every dataset: its totals and its latest partitions
    /datasets/{dataset}                          one dataset: all its partitions
    /datasets/{dataset}/partitions/{partition}   one partition
    /dags/{dag_id}/runs/{run_id}                 the partition that a DAG run fills

Every route wants a user that Airflow knows (else 401), and of a dataset it shows what that user may
see of the dataset's DAG (else 404). Only Airflow's API server imports this module: it takes a second.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import get_user, requires_access_dag
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from imagefeatures import names
from imagefeatures.errors import SettingsError
from imagefeatures.layout import Layout
from imagefeatures.settings import Settings
from imagefeatures_airflow import pages, published

LATEST = 10
"""Partitions of each dataset on the first page."""

User = Annotated[BaseUser, Depends(get_user)]

# A plugin's routes are public unless they are guarded; and documentation routes would stay so.
app = FastAPI(title="Image features", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(get_user)])


@app.get("/")
def index(request: Request, user: User) -> HTMLResponse:
    """Every dataset that the user may see."""
    shelves, errors = published.shelves(user)
    if not get_auth_manager().is_authorized_view(access_view=AccessView.IMPORT_ERRORS, user=user):
        errors = []
    folder = Settings.from_env().datasets
    return _page(request, "index.html", shelves=shelves, errors=errors, latest=LATEST, folder=folder)


@app.get("/datasets/{dataset}")
def dataset(request: Request, user: User, dataset: str) -> HTMLResponse:
    """All partitions of one dataset."""
    if not (shelf := published.shelf(user, dataset)):
        return _unknown(request, dataset)
    return _page(request, "dataset.html", shelf=shelf, note=None)


@app.get("/datasets/{dataset}/partitions/{partition}")
def partition(request: Request, user: User, dataset: str, partition: str) -> HTMLResponse:
    """One partition of one dataset."""
    if not (shelf := published.shelf(user, dataset)):
        return _unknown(request, dataset)
    if row := shelf.partition(partition):
        return _page(request, "partition.html", shelf=shelf, row=row, note=None)
    return _message(request, "Not published", f"Dataset {dataset} has nothing published for partition {partition}.")


@app.get("/dags/{dag_id}/runs/{run_id}", dependencies=[Depends(requires_access_dag("GET", DagAccessEntity.XCOM))])
def dag_run(request: Request, user: User, session: SessionDep, dag_id: str, run_id: str) -> HTMLResponse:
    """The partition that a DAG run fills; all of the dataset's while it is not published."""
    dataset = names.dataset_of(dag_id)
    shelf = published.shelf(user, dataset) if dataset else None
    if not shelf:
        text = f"{dag_id} fills no dataset. The DAGs that do are named {names.dag_id('<dataset>')}."
        return _message(request, "Not an image features DAG", text)
    run = published.planned(session, dag_id, run_id)
    row = shelf.partition(run.partition) if run else None
    return _page(request, "partition.html" if row else "dataset.html", shelf=shelf, row=row, note=_note(run, row))


@app.middleware("http")
async def _send_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    response.headers.update(pages.HEADERS)
    return response


@app.exception_handler(SettingsError)
@app.exception_handler(published.Unavailable)
def _unavailable(request: Request, error: Exception) -> HTMLResponse:
    return _message(request, "Not available", str(error), status=503)


def _note(run: Layout | None, row: published.Row | None) -> str:
    """What a DAG run's own run, if it has planned one, has to do with what is published of its partition."""
    if not run:
        return "This DAG run has not planned its partition yet."
    if not row:
        return f"This DAG run fills partition {run.partition}, which is not published yet."
    if row["run_id"] == run.run_id:
        return "This DAG run published this partition."
    return f"Published by another run; this DAG run's own is {run.run_id}."


def _unknown(request: Request, name: str) -> HTMLResponse:
    return _message(request, "No such dataset", f"There is no dataset {name}, or none that you may see.")


def _message(request: Request, title: str, text: str, status: int = 404) -> HTMLResponse:
    return _page(request, "message.html", status, title=title, text=text)


def _page(request: Request, template: str, status: int = 200, **facts: Any) -> HTMLResponse:
    root = request.scope["root_path"].rstrip("/")  # where Airflow mounted us, whatever folder of the host that is
    return HTMLResponse(pages.render(template, root=root, **facts), status)
