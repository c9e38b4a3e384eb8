"""The page of a DAG run: the partition that it fills, and whether it published what the partition holds now."""

from __future__ import annotations

from airflow.models.xcom import XCOM_RETURN_KEY, XComModel
from airflow.utils.session import create_session
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from imagefeatures import names
from imagefeatures.errors import ParamsError
from imagefeatures.layout import Layout
from imagefeatures.settings import Settings
from imagefeatures_airflow.web import access, rendering
from imagefeatures_airflow.web.datasets import current_settings, visible_dataset
from imagefeatures_airflow.web.published import Row, published
from imagefeatures_airflow.web.threads import in_thread

router = APIRouter()


@router.get("/dags/{dag_id}/runs/{run_id}", dependencies=[access.READER_OF_XCOM])
async def dag_run(request: Request, user: access.User, dag_id: str, run_id: str) -> HTMLResponse:
    """The partition that a DAG run fills; all partitions of the dataset while that one is not published."""
    settings = current_settings()
    runs = await published(settings)

    def show() -> HTMLResponse:
        name = names.dataset_of(dag_id)
        dataset = visible_dataset(user, settings, runs, name) if name else None
        if not dataset:
            text = f"{dag_id} fills no dataset. The DAGs that do are named {names.dag_id('<dataset>')}."
            return rendering.message(request, "Not an image features DAG", text)
        with create_session(scoped=False) as session:  # only now: no connection is held while the catalog is read
            run = planned_run(session, settings, dag_id, run_id)
        row = dataset.partition(run.partition) if run else None
        template = "partition.html" if row else "dataset.html"
        return rendering.page(request, template, dataset=dataset, row=row, note=note(run, row))

    return await in_thread(show)


def planned_run(session: Session, settings: Settings, dag_id: str, run_id: str) -> Layout | None:
    """The run that the task `plan` of this DAG run settled; None before that.

    None as well when what plan has returned is no run of this dataset in this lake.
    """
    query = XComModel.get_many(dag_ids=dag_id, run_id=run_id, task_ids="plan", key=XCOM_RETURN_KEY, limit=1)
    returned = session.execute(query.with_only_columns(XComModel.value)).first()
    if not returned:
        return None
    try:
        uri = str(XComModel.deserialize_value(returned))
        return Layout.of_run_file(uri, settings.lake, names.dataset_of(dag_id))
    except ParamsError:
        return None


def note(run: Layout | None, row: Row | None) -> str:
    """How a DAG run relates to what is published of its partition.

    run: what the DAG run planned, None before that. row: the partition's row of features.runs, None without one.
    """
    if not run:
        return "This DAG run has not planned its partition yet."
    if not row:
        return f"This DAG run fills partition {run.partition}, which is not published yet."
    if row["run_id"] == run.run_id:
        return "This DAG run published this partition."
    return f"Published by another run; this DAG run's own is {run.run_id}."
