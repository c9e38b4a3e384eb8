"""The bodies of the tasks that take back. They call imagefeatures, which does the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imagefeatures.settings import Settings
from imagefeatures_airflow.form import unpublish_params_of

if TYPE_CHECKING:
    from airflow.sdk.types import DagRunProtocol

UNKNOWN = "unknown"


def withdraw(dataset: str, params: dict[str, Any], run: DagRunProtocol | None = None) -> list[str]:
    """Take back what the form asks for. Returns a line for each partition. params, run: as for `form.params_of`."""
    from imagefeatures import unpublish

    settings, settled = Settings.from_env(), unpublish_params_of(params, run)
    lines = []
    for partition in unpublish.partitions(dataset, settled, settings):
        if withdrawal := unpublish.withdraw(dataset, partition, settled, asked_by(run), settings):
            lines.append(str(withdrawal))
            print(lines[-1])
    if not lines:
        print(f"nothing that {dataset} has published matches: no partition is changed")
    return lines


def asked_by(run: DagRunProtocol | None) -> str:
    """The user who has triggered a DAG run."""
    return getattr(run, "triggering_user_name", None) or UNKNOWN
