"""The two actions of the pages: to run a partition again, and to take its quarantined objects again.

Both start a run of a DAG, by the function with which Airflow's command line and its tasks do it. Who may do that is
Airflow's to decide, its audit log has it as it has a press on Trigger, and no other site's page can do it
(`access.OWN_FORM`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow.api.common.trigger_dag import trigger_dag
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.logging.decorators import action_logging
from airflow.exceptions import AirflowException
from airflow.models.dag import DagModel
from airflow.utils.session import create_session
from airflow.utils.types import DagRunTriggeredByType
from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import select

from imagefeatures import names
from imagefeatures.reasons import without_secrets
from imagefeatures_airflow.web import access, rendering, rows
from imagefeatures_airflow.web.partitions import NotShown, Partition, shown
from imagefeatures_airflow.web.threads import in_thread

MOST_URIS = 1_000
"""So many objects are named one by one in the parameters of a run."""

router = APIRouter()


@dataclass(frozen=True)
class Action:
    """A button. dag_id: the DAG that it starts. paused: whether the run would wait for somebody."""

    dag_id: str
    paused: bool


def actions(user: BaseUser, of: Partition) -> dict[str, Action]:
    """What the user may do with a partition: `run` it again, `redrive` its quarantined objects. Blocks."""
    dags = {"run": names.dag_id(of.dataset), "redrive": names.redrive_dag_id(of.dataset)}
    with create_session(scoped=False) as session:
        known = select(DagModel.dag_id, DagModel.is_paused).where(
            DagModel.dag_id.in_(dags.values()), ~DagModel.is_stale
        )
        paused = {dag_id: bool(is_paused) for dag_id, is_paused in session.execute(known)}
    return {
        name: Action(dag_id, paused[dag_id])
        for name, dag_id in dags.items()
        if dag_id in paused and access.may_trigger(user, dag_id)
    }


@router.post(
    "/dags/{dag_id}/partitions/{partition}/trigger",
    dependencies=[access.OWN_FORM, access.TRIGGERER, Depends(action_logging("trigger_dag_run"))],
)
async def trigger(
    request: Request, user: access.User, dag_id: str, partition: str, reason: str = "", text: str = ""
) -> Response:
    """Start the DAG for a published partition, and go to the page of its run.

    dag_id: of a dataset, or of its re-drives. reason, text: of a re-drive, which takes the quarantined objects again
    that the page shows with them.
    """
    name = names.dataset_of(dag_id) or names.dataset_redriven_by(dag_id)
    if not name:
        raise NotShown(f"{dag_id} fills no dataset.")
    of = await shown(user, name, partition)

    def start() -> Response:
        conf: dict[str, Any] = {"partition": partition}
        if names.dataset_redriven_by(dag_id):
            conf |= {"reason": reason} if reason else {}
            if text:
                conf["uris"] = [row["uri"] for row in rows.matching(rows.rejected(of), reason, text)]
                if why := _not_named(conf["uris"]):
                    return rendering.message(request, "Not started", f"{why}. Choose by reason alone.", status=400)
        try:
            run = trigger_dag(
                dag_id,
                triggered_by=DagRunTriggeredByType.UI,
                triggering_user_name=user.get_name(),
                conf=conf,
                replace_microseconds=False,
            )
        except (AirflowException, ValueError) as error:  # Airflow's own words: no such DAG, a parameter that it refuses
            return rendering.message(request, "Not started", f"Airflow has not started {dag_id}: {error}", status=400)
        root = request.scope["root_path"].rstrip("/")
        return RedirectResponse(f"{root}/{rendering.path('dags', dag_id, 'runs', run.run_id)}", status_code=303)

    return await in_thread(start)


def _not_named(uris: Sequence[str]) -> str | None:
    """Why these cannot be parameters of a DAG run, which Airflow shows; None where they can."""
    if not 1 <= len(uris) <= MOST_URIS:
        return f"{len(uris):,} objects match; 1 to {MOST_URIS:,} can be named in one re-drive"
    if any(uri != without_secrets(uri) for uri in uris):
        return "Some of these URLs have a user, a query or a fragment, which may be secret"
    return None
