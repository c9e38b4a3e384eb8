"""The page of a DAG run: what it published; before that, and when it failed, how far it has come.

Besides, as CSV: every object that a DAG run has rejected, and every quarantined object of a published partition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.models.xcom import XCOM_RETURN_KEY, XComModel
from airflow.utils.session import create_session
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from imagefeatures import names
from imagefeatures.cost import RunCost
from imagefeatures.errors import ParamsError
from imagefeatures.layout import Layout
from imagefeatures.settings import Settings
from imagefeatures_airflow.web import access, downloads, rendering, unpublished
from imagefeatures_airflow.web.datasets import current_settings, visible_dataset
from imagefeatures_airflow.web.published import Row, published
from imagefeatures_airflow.web.threads import in_thread
from imagefeatures_airflow.web.unpublished import TaskStates

if TYPE_CHECKING:
    from imagefeatures.rejections import Rejections

router = APIRouter()

REDRIVE = (
    "This DAG run is a re-drive: it takes quarantined objects again, and merges what is whole now into the partitions "
    "that its task plan has returned."
)
CLASSIFY = (
    "This DAG run fits a classifier to the features. Its task publish has returned how well it does; the table "
    f"{names.LEARNING}.{names.EVALUATIONS} has a row for each classifier, and names the picture of what it confuses."
)


@router.get("/dags/{dag_id}/runs/{run_id}", dependencies=[access.READER_OF_XCOM])
async def dag_run(request: Request, user: access.User, dag_id: str, run_id: str) -> HTMLResponse:
    """The partition that a DAG run has published; else the run itself, as far as its files tell.

    All partitions of the dataset while the run is not planned, and for a re-drive or a classifier, which may be of
    many.
    """
    settings = current_settings()
    runs = await published(settings)

    def show() -> HTMLResponse:
        redriven = names.dataset_redriven_by(dag_id)
        classified = names.dataset_classified_by(dag_id)
        name = redriven or classified or names.dataset_of(dag_id)
        dataset = visible_dataset(user, settings, runs, name) if name else None
        if dataset and (redriven or classified):
            note_of = REDRIVE if redriven else CLASSIFY
            return rendering.page(request, "dataset.html", dataset=dataset, row=None, note=note_of, rejected=None)
        if not dataset:
            text = f"{dag_id} fills no dataset. The DAGs that do are named {names.dag_id('<dataset>')}."
            return rendering.message(request, "Not an image features DAG", text)
        with create_session(scoped=False) as session:  # only now: no connection is held while the catalog is read
            run = planned_run(session, settings, dag_id, run_id)
            tasks = unpublished.task_states(session, dag_id, run_id)
        row = dataset.partition(run.partition) if run else None
        facts: dict[str, Any] = {"dataset": dataset, "row": row, "note": note(run, row, tasks)}
        facts["rejected"] = f"dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}" if run else None
        own = unpublished.read(run, tasks) if run and not (row and row["run_id"] == run.run_id) else None
        if own:
            facts["stop"] = own.stop if access.may_read_logs(user, dag_id) else None
            facts["seconds_between_views"] = unpublished.SECONDS_BETWEEN_VIEWS
            return rendering.page(request, "run.html", run=own, **facts)
        if not row:
            return rendering.page(request, "dataset.html", **facts)
        return rendering.page(request, "partition.html", cost=RunCost.of(row, settings.prices), **facts)

    return await in_thread(show)


@router.get("/dags/{dag_id}/runs/{run_id}/rejected.csv", dependencies=[access.READER_OF_XCOM])
async def rejected_by_run(request: Request, user: access.User, dag_id: str, run_id: str) -> Response:
    """Every object that a DAG run has rejected, as CSV: also of a run that failed, and of one under way."""
    settings = current_settings()
    runs = await published(settings)

    def find() -> Rejections | None:
        from imagefeatures import rejections

        name = names.dataset_of(dag_id)
        dataset = visible_dataset(user, settings, runs, name) if name else None
        if not dataset:
            return None
        with create_session(scoped=False) as session:
            run = planned_run(session, settings, dag_id, run_id)
        if not run:
            return None
        row = dataset.partition(run.partition)
        if row and row["run_id"] == run.run_id:
            return rejections.of_published(settings, row)
        return rejections.of_staged(run)

    found = await in_thread(find)
    if not found:
        return rendering.message(request, "Not planned", "This DAG run has no partition yet, or none that you may see.")
    return await downloads.csv_of(found.rows(), f"rejected-{found.run_id}")


@router.get("/datasets/{dataset}/partitions/{partition}/rejected.csv")
async def rejected_of_partition(request: Request, user: access.User, dataset: str, partition: str) -> Response:
    """Every quarantined object of a published partition, as CSV."""
    settings = current_settings()
    runs = await published(settings)

    def find() -> Rejections | None:
        from imagefeatures import rejections

        view = visible_dataset(user, settings, runs, dataset)
        row = view.partition(partition) if view else None
        return rejections.of_published(settings, row) if row else None

    found = await in_thread(find)
    if not found:
        return rendering.message(request, "Not published", f"Nothing of {dataset} {partition} is published for you.")
    return await downloads.csv_of(found.rows(), f"rejected-{found.run_id}")


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


def note(run: Layout | None, row: Row | None, tasks: TaskStates) -> str:
    """How a DAG run relates to what is published of its partition.

    run: what the DAG run planned, None before that. row: the partition's row of features.runs, None without one.
    """
    failed = f"Failed: {', '.join(tasks.failed)}; that task's log says more." if tasks.failed else ""
    if not run:
        return failed or "This DAG run has no partition yet. If its task plan has failed, that task's log says why."
    if row and row["run_id"] == run.run_id:
        return "This DAG run published this partition."
    if tasks.has_failed:
        return f"This DAG run failed, and has published nothing of partition {run.partition}. {failed}".rstrip()
    if not row:
        return f"This DAG run fills partition {run.partition}, which is not published yet."
    return f"What the partition holds is of another run; this DAG run's own is {run.run_id}."
