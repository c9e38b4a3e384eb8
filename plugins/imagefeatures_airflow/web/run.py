"""The page of a DAG run: what it published; before that, and when it failed, how far it has come.

Besides, as CSV: every object that a DAG run has rejected, and every quarantined object of a published partition.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.models.xcom import XCOM_RETURN_KEY
from airflow.utils.session import create_session
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from sqlalchemy.orm import Session

from imagefeatures import names, storage
from imagefeatures.cost import RunCost
from imagefeatures.errors import ImageFeaturesError, ParamsError
from imagefeatures.layout import Layout
from imagefeatures.remedies import REMEDIES
from imagefeatures.settings import Settings
from imagefeatures.stops import STOPPED, Stop
from imagefeatures_airflow.web import access, downloads, parameters, redrives, rendering, unpublished
from imagefeatures_airflow.web.datasets import DatasetView, current_settings, history, visible_dataset
from imagefeatures_airflow.web.looks import Look, look, of_row
from imagefeatures_airflow.web.notes import note
from imagefeatures_airflow.web.parameters import Given
from imagefeatures_airflow.web.partitions import NotShown, has_names_of_ours
from imagefeatures_airflow.web.published import FRESH_SECONDS, Published, Row, published
from imagefeatures_airflow.web.threads import in_thread
from imagefeatures_airflow.web.unpublished import TaskStates

if TYPE_CHECKING:
    from imagefeatures.rejections import Rejections

router = APIRouter()

MOST_SHOWN = 20
"""So many rejected objects of a failed run are shown; all of them can be downloaded."""

CLASSIFY = (
    "This DAG run fits a classifier to the features. Its task publish has returned how well it does; the table "
    f"{names.LEARNING}.{names.EVALUATIONS} has a row for each classifier, and names the picture of what it confuses."
)


@router.get("/dags/{dag_id}/runs/{run_id}", dependencies=[access.READER_OF_XCOM])
async def dag_run(request: Request, user: access.User, dag_id: str, run_id: str) -> HTMLResponse:
    """The partition that a DAG run has published; else the run itself, as far as its files tell.

    Its tasks and its partitions for a re-drive, all partitions of the dataset for a classifier: they may be of many.
    With the run's parameters.
    """
    settings = current_settings()
    runs = await published(settings)
    redriven = names.dataset_redriven_by(dag_id)
    classified = names.dataset_classified_by(dag_id)
    name = redriven or classified or names.dataset_of(dag_id)
    dataset = await in_thread(lambda: dataset_of_run(user, settings, runs, dag_id, run_id)) if name else None
    if not dataset:
        text = f"{dag_id} fills no dataset. The DAGs that do are named {names.dag_id('<dataset>')}."
        return rendering.message(request, "Not an image features DAG", text)
    given = await in_thread(lambda: parameters_of(user, dag_id, run_id))
    if redriven:
        of_redrive = await redrives.facts(user, settings, dag_id, run_id)
        return await in_thread(lambda: rendering.page(request, "redrive.html", given=given, **of_redrive))
    if classified:
        own = {"dataset": dataset, "note": CLASSIFY, "given": given}
        return await in_thread(
            lambda: rendering.page(request, "dataset.html", **own, **history(user, settings, dataset))
        )
    found = await in_thread(lambda: known_to_airflow(user, settings, dag_id, run_id))
    row = dataset.partition(found.layout.partition) if found.layout else None
    own_row = row if row and found.layout and row["run_id"] == found.layout.run_id else None
    seen = await look(found.layout) if found.layout and not own_row else None

    def show() -> HTMLResponse:
        facts: dict[str, Any] = {"dataset": dataset, "row": row, "note": note(found.layout, row, found.tasks)}
        facts["again"] = again_in(found.tasks, published=own_row is not None)
        facts |= {"rejected": rendering.path("dags", dag_id, "runs", run_id) if found.layout else None, "given": given}
        if own_row:
            views = unpublished.step_views(found.tasks, None)
            facts |= {"found": found, "begun": [view for view in views if view.task.tries]}
            return rendering.page(request, "partition.html", cost=RunCost.of(own_row, settings.prices), **facts)
        first = first_rejected(found.layout) if seen and found.layout and found.tasks.has_failed else []
        facts |= {"first_rejected": first, "most_shown": MOST_SHOWN, "remedies": REMEDIES}
        facts["partition"] = found.layout.partition if found.layout else ""
        return rendering.page(request, "run.html", **facts, **progress_facts(found, seen))

    return await in_thread(show)


@router.get("/dags/{dag_id}/runs/{run_id}/progress", dependencies=[access.READER_OF_XCOM])
async def progress(request: Request, user: access.User, dag_id: str, run_id: str) -> JSONResponse:
    """How far a DAG run is, for the script of its page.

    under_way: whether it is worth to ask again. planned: whether it has a partition. html: the part that changes.
    """
    settings, redriven = current_settings(), names.dataset_redriven_by(dag_id)
    name = redriven or names.dataset_of(dag_id)
    if not name or not await in_thread(lambda: access.readable(user, {name})):
        raise NotShown(f"{dag_id} fills no dataset, or none that you may see.")
    if redriven:
        of_redrive = await redrives.facts(user, settings, dag_id, run_id)
        html = await in_thread(lambda: rendering.part(request, "redrive_progress.html", **of_redrive))
        of_run: redrives.Redrive = of_redrive["found"]
        planned = of_run.layouts is not None
        return JSONResponse({"under_way": of_run.tasks.under_way, "planned": planned, "html": html})
    found = await in_thread(lambda: known_to_airflow(user, settings, dag_id, run_id))
    seen = await look(found.layout) if found.layout and found.tasks.under_way else None
    if found.layout and found.tasks.under_way and not seen:  # register has removed its folder, and goes on
        rows = (await published(settings)).get(name, [])
        seen = next((of_row(row) for row in rows if row["run_id"] == found.layout.run_id), None)
    html = await in_thread(lambda: rendering.part(request, "progress.html", **progress_facts(found, seen)))
    return JSONResponse({"under_way": found.tasks.under_way, "planned": found.layout is not None, "html": html})


@router.get("/dags/{dag_id}/runs/{run_id}/rejected.csv", dependencies=[access.READER_OF_XCOM])
async def rejected_by_run(request: Request, user: access.User, dag_id: str, run_id: str) -> Response:
    """Every object that a DAG run has rejected, as CSV: also of a run that failed, and of one under way."""
    settings = current_settings()
    runs = await published(settings)

    def find() -> Rejections | None:
        from imagefeatures import rejections

        dataset = dataset_of_run(user, settings, runs, dag_id, run_id) if names.dataset_of(dag_id) else None
        if not dataset:
            return None
        with create_session(scoped=False) as session:
            run = planned_run(session, settings, dag_id, run_id)
        if not run:
            return None
        row = dataset.partition(run.partition)
        if row and row["run_id"] == run.run_id:
            return of_published(settings, row)
        found = rejections.of_staged(run)
        if not storage.exists(run.run_file):  # asked last: whatever was read before was there
            raise NotShown(
                f"What the run {run.run_id} has rejected is not kept any more: it was published a moment ago, or "
                "another run of its partition was, or its folder was removed."
            )
        return found

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
        view = visible_dataset(user, settings, runs, dataset)
        row = view.partition(partition) if view else None
        return of_published(settings, row) if row else None

    found = await in_thread(find)
    if not found:
        return rendering.message(request, "Not published", f"Nothing of {dataset} {partition} is published for you.")
    return await downloads.csv_of(found.rows(), f"rejected-{found.run_id}")


def of_published(settings: Settings, row: Row) -> Rejections:
    """The rejections of a row of features.runs. Raises NotShown where its names are none of a run's."""
    from imagefeatures import rejections

    if not has_names_of_ours(row):
        raise NotShown("What is rejected cannot be shown: dataset, partition or run have names that no run has.")
    return rejections.of_published(settings, row)


@dataclass(frozen=True)
class Found:
    """A DAG run that a user may see. layout: its own run, None before it is planned. stop: what stopped its plan.

    reads_logs: whether the user may read what its tasks have logged.
    """

    dag_id: str
    run_id: str
    layout: Layout | None
    tasks: TaskStates
    stop: Stop | None
    reads_logs: bool


def known_to_airflow(user: BaseUser, settings: Settings, dag_id: str, run_id: str) -> Found:
    """What Airflow knows of a DAG run, for a user who may read its XCom. Blocks."""
    may_read_logs = access.may_read_logs(user, dag_id)
    with create_session(scoped=False) as session:  # only now: no connection is held while the catalog is read
        layout = planned_run(session, settings, dag_id, run_id)
        tasks = unpublished.task_states(session, dag_id, run_id)
        stop = None if layout or not tasks.failed else stopped_plan(session, dag_id, run_id)
    return Found(dag_id, run_id, layout, tasks, stop, may_read_logs)


def dataset_of_run(user: BaseUser, settings: Settings, runs: Published, dag_id: str, run_id: str) -> DatasetView | None:
    """The dataset that a DAG works for; None where there is none that the user may see. Blocks.

    Where its file is gone or malformed, and nothing of it is published, its runs are still there.
    """
    name = names.dataset_redriven_by(dag_id) or names.dataset_classified_by(dag_id) or names.dataset_of(dag_id) or ""
    if (view := visible_dataset(user, settings, runs, name)) or not access.readable(user, {name}):
        return view
    with create_session(scoped=False) as session:
        is_there = unpublished.task_states(session, dag_id, run_id).state is not None
    return DatasetView(name, None, [], runs.withdrawn.get(name, set())) if is_there else None


def again_in(tasks: TaskStates, *, published: bool) -> float | None:
    """After how many seconds the page of a run asks for itself again; None where nothing of it changes any more.

    published: whether the page shows what the run has published. The rows of the catalog may be older than its end.
    """
    if published:
        return unpublished.SECONDS_BETWEEN_VIEWS if tasks.under_way else None
    return FRESH_SECONDS if not tasks.under_way and tasks.published_within(FRESH_SECONDS) else None


def parameters_of(user: BaseUser, dag_id: str, run_id: str) -> Given | None:
    """The parameters of a DAG run; None where Airflow does not know it, or the user may not see it. Blocks."""
    if not access.may_see_runs(user, dag_id):
        return None
    with create_session(scoped=False) as session:
        return parameters.parameters(session, dag_id, run_id)


def progress_facts(found: Found, seen: Look | None) -> dict[str, Any]:
    """What the template of the part that changes needs."""
    stop = found.stop or (seen.stop if seen and seen.stop and found.tasks.stopped(seen.stop.step) else None)
    return {
        "found": found,
        "look": seen,
        "steps": unpublished.step_views(found.tasks, seen),
        "stop": stop if found.reads_logs else None,
        "seconds_between_views": unpublished.SECONDS_BETWEEN_VIEWS,
        "seconds_between_looks": unpublished.SECONDS_BETWEEN_LOOKS,
    }


def first_rejected(layout: Layout) -> list[Mapping[str, Any]]:
    """The first MOST_SHOWN rejected objects of a run that is not published; none where they cannot be read. Blocks."""
    from imagefeatures import rejections

    with contextlib.suppress(ImageFeaturesError):  # the page says how many there are, and links to all of them
        return list(islice(rejections.of_staged(layout).rows(), MOST_SHOWN))
    return []


def planned_run(session: Session, settings: Settings, dag_id: str, run_id: str) -> Layout | None:
    """The run that the task `plan` of this DAG run settled; None before that.

    None as well when what plan has returned is no run of this dataset in this lake.
    """
    try:
        uri = str(unpublished.from_plan(session, dag_id, run_id, XCOM_RETURN_KEY))
        return Layout.of_run_file(uri, settings.lake, names.dataset_of(dag_id))
    except ParamsError:
        return None


def stopped_plan(session: Session, dag_id: str, run_id: str) -> Stop | None:
    """What stopped the task `plan` of this DAG run; None when nothing has, or it left no word."""
    kept = unpublished.from_plan(session, dag_id, run_id, STOPPED)
    return Stop.of_mapping(kept) if isinstance(kept, dict) else None
