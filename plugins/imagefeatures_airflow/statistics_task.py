"""The body of the task `statistics`. It calls imagefeatures, which does the work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from imagefeatures import names
from imagefeatures.errors import InputError
from imagefeatures.layout import Layout
from imagefeatures.reasons import printable
from imagefeatures.settings import Settings

if TYPE_CHECKING:
    from imagefeatures.datasets import Dataset
    from imagefeatures_airflow.building_blocks import Notify


def statistics(run_file: str, dataset: Dataset, notify: Notify = None) -> dict[str, Any]:
    """Compute the statistics of the published run, and call the notifiers where it has an alert.

    dataset: as its file says now. Returns the run's partition key, its id and its alerts. Skips where the partition
    holds another run by now; and, since the run is published, where the statistics cannot be computed: at once, or
    after the last retry where one may help. Raises AlertRaised for an alert of a dataset file that says `fail: true`.
    """
    from imagefeatures.quality import notify as notifying
    from imagefeatures.quality import record

    settings = Settings.from_env()
    layout = Layout.of_run_file(run_file, settings.lake, dataset.name)
    place, context = f"{names.table_name(dataset.name)} {layout.partition}", get_current_context()
    try:
        rows = record.record(dataset.name, layout.partition, layout.run_id, dataset.alerts, settings)
    except Exception as error:
        if not isinstance(error, InputError) and tries_left(context):
            raise
        raise AirflowSkipException(
            f"{place} is published; its statistics are not: {type(error).__name__}: {printable(error)}; clear this "
            "task to compute them"
        ) from error
    if rows is None:
        raise AirflowSkipException(f"{place} holds another run than {layout.run_id} by now, or was taken back")
    several = notify if isinstance(notify, list | tuple) else [notify] if notify else []
    found = notifying.alerts_of(rows)
    print(f"alert: {notifying.context_of(rows)['text']}" if found else f"{place}: nothing is out of its bounds")
    notifying.tell(rows, dataset.alerts, dict(context), several)
    return {"partition_key": layout.partition, "run_id": layout.run_id, "alerts": found}


def tries_left(context: Mapping[str, Any]) -> bool:
    """Whether Airflow tries the task again when it fails now."""
    task = context["ti"]
    return bool(task.try_number <= task.max_tries)
