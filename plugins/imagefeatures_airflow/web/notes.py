"""What the page of a DAG run says first: how the run relates to what is published of its partition."""

from __future__ import annotations

from imagefeatures.layout import Layout
from imagefeatures.steps import REGISTER
from imagefeatures_airflow.web.published import Row
from imagefeatures_airflow.web.unpublished import TaskStates


def note(run: Layout | None, row: Row | None, tasks: TaskStates) -> str:
    """How a DAG run relates to what is published of its partition.

    run: what the DAG run planned, None before that. row: the partition's row of features.runs, None without one.
    """
    failed = f"Failed: {', '.join(tasks.failed)}; that task's log says more." if tasks.failed else ""
    if not run:
        return _not_planned(tasks, failed)
    if row and row["run_id"] == run.run_id:
        published = "This DAG run published this partition."
        return f"{published} {failed or 'It has failed since.'}" if tasks.has_failed else published
    if tasks.succeeded(REGISTER) and not tasks.under_way:
        since = "another run has replaced it since" if row else "it is not published any more"
        return f"This DAG run published partition {run.partition}; {since}. {failed}".rstrip()
    if tasks.has_failed:
        return f"This DAG run failed, and has published nothing of partition {run.partition}. {failed}".rstrip()
    if tasks.skipped(REGISTER):
        what = f"had nothing to publish of partition {run.partition}"
        return f"This DAG run {what}; the log of its task register says why."
    if tasks.has_succeeded and row:  # what became of its own is not known any more
        return f"The partition holds what another run has published; this DAG run's own is {run.run_id}."
    if tasks.has_succeeded:
        return f"This DAG run has ended, and nothing of partition {run.partition} is published."
    if not row:
        return f"This DAG run fills partition {run.partition}, which is not published yet."
    again = f"This DAG run fills partition {run.partition} again"
    return f"{again}; until it is published the partition holds what another run has published."


def _not_planned(tasks: TaskStates, failed: str) -> str:
    if tasks.state is None:
        return "Airflow knows no run of this name."
    waits = "This DAG run has no partition yet."
    return failed or (waits if tasks.under_way else f"{waits} If its task plan has failed, that task's log says why.")
