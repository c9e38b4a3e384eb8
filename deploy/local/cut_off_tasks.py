"""Lets the tasks be scheduled again that were cut off when Airflow ended, with as many tries as they had before.

`deploy.local.services` runs this file while no scheduler is there, by the Python that runs Airflow. A scheduler would
take these tasks back too, after half a minute, and count the try that they had begun.
"""

from __future__ import annotations

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance, uuid7
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, State
from sqlalchemy import select


def main() -> None:
    with create_session() as session:
        of_running_runs = select(TaskInstance).join(TaskInstance.dag_run).where(DagRun.state == DagRunState.RUNNING)
        for task in session.scalars(of_running_runs.where(TaskInstance.state.in_(State.adoptable_states))):
            task.id = uuid7()  # what is left of the try may tell Airflow nothing more about this task
            task.try_number = max(task.try_number - 1, 0)  # the scheduler adds one
            task.state = None
            task.queued_by_job_id = None
            task.external_executor_id = None
            task.clear_next_method_args()
            print(f"scheduled again: {task.dag_id} {task.run_id} {task.task_id}")


if __name__ == "__main__":
    main()
