"""The bodies of the tasks that take back, forget and clean up. They call imagefeatures, which does the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imagefeatures.errors import CatalogRefused
from imagefeatures.run_params import ForgetParams, UpkeepParams
from imagefeatures.settings import Settings
from imagefeatures_airflow.form import unpublish_params_of

if TYPE_CHECKING:
    from airflow.sdk.types import DagRunProtocol

UNKNOWN = "unknown"

IN_AIRFLOW = (
    "  Airflow keeps the ids and URIs of the form: delete the DAG run {run_id} when you need its log no more, and "
    "shorten the audit log: airflow db clean --tables log --skip-archive"
)
"""The last line of a request's log. Airflow has no call that changes `conf` of a DAG run."""


def withdraw(dataset: str, params: dict[str, Any], run: DagRunProtocol | None = None) -> list[str]:
    """Take back what the form asks for. Returns a line for each partition. params, run: as for `form.params_of`.

    What is wrong with one partition stops no other; the error comes at the end.
    """
    from imagefeatures import unpublish
    from imagefeatures.redrive.left_out import LeftOut

    settings, settled = Settings.from_env(), unpublish_params_of(params, run)
    left_out, lines = LeftOut(dataset, settled.partition, print, "taken back"), list[str]()
    for partition in unpublish.partitions(dataset, settled, settings):
        with left_out.noticed(partition):
            if withdrawal := unpublish.withdraw(dataset, partition, settled, asked_by(run), settings):
                lines.append(str(withdrawal))
                print(lines[-1])
    left_out.refuse()
    if not lines:
        print(f"nothing that {dataset} has published matches: no partition is changed")
    return lines


def forget(params: dict[str, Any], run: DagRunProtocol | None = None) -> None:
    """Forget what the form asks for, and print the report. This adds nothing to Airflow's database.

    The form itself is there already, in `conf` of the DAG run and in the audit log, and no task may change that.
    """
    from imagefeatures.forget import work

    work.forget(
        ForgetParams.parse(params), asked_by(run), Settings.from_env(), lambda report: print(*report.lines(), sep="\n")
    )
    print(IN_AIRFLOW.format(run_id=getattr(run, "run_id", UNKNOWN)))


def upkeep(params: dict[str, Any], run: DagRunProtocol | None = None) -> dict[str, dict[str, int]]:
    """Say what upkeep would remove, or remove it. Returns count and bytes by kind.

    A scheduled run removes it, whatever the form's default says. Raises CatalogRefused, after all else is done, where
    something was left as it is.
    """
    from imagefeatures.upkeep import work

    dry_run = UpkeepParams.parse(params).dry_run and getattr(run, "run_type", None) != "scheduled"
    report = work.upkeep(Settings.from_env(), dry_run=dry_run)
    for line in report.lines():
        print(line)
    if report.done and report.refused:
        raise CatalogRefused("; ".join(report.refused))
    return report.numbers


def asked_by(run: DagRunProtocol | None) -> str:
    """The user who has triggered a DAG run."""
    return getattr(run, "triggering_user_name", None) or UNKNOWN
