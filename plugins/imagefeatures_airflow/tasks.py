"""The bodies of the tasks that run in Airflow's own workers. They call imagefeatures, which does the work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from imagefeatures import names, stops
from imagefeatures.dataset_files import find_dataset
from imagefeatures.errors import ImageFeaturesError
from imagefeatures.layout import Layout
from imagefeatures.plan import load_run, plan_run
from imagefeatures.settings import Settings
from imagefeatures_airflow.form import params_of, redrive_params_of

if TYPE_CHECKING:
    from airflow.sdk.types import DagRunProtocol


def plan(
    folder: Path,
    dataset: str,
    params: dict[str, Any],
    partition_key: str | None,
    run: DagRunProtocol | None = None,
) -> str:
    """Settle the run of a dataset whose file is in that folder. Returns the URI of its run.json.

    params, partition_key, run: as for `form.params_of`.
    """
    settled = params_of(params, partition_key, run)
    if settled.partition:
        print(f"this run fills the partition {settled.partition} of {names.table_name(dataset)}; days are those of UTC")
    return plan_run(find_dataset(folder, dataset), settled, None, Settings.from_env())


def plan_redrives(folder: Path, dataset: str, params: dict[str, Any], run: DagRunProtocol | None = None) -> list[str]:
    """Plan a re-drive of each partition with a matching object. Returns the URI of each run.json; none is no error.

    params, run: as for `form.redrive_params_of`.
    """
    from imagefeatures.redrive import choose

    settings, found = Settings.from_env(), find_dataset(folder, dataset)
    settled = redrive_params_of(params, run)
    chosen = [choose.plan_redrive(found, settled, key, settings) for key in choose.partitions(found, settled, settings)]
    planned = [run_file for run_file in chosen if run_file]
    if not planned:
        print(f"nothing that is quarantined of {dataset} matches: no partition is changed")
    return planned


def model(run_file: str, dataset: str) -> dict[str, Any]:
    """Make sure that the lake holds the run's model, verified. Returns what was measured.

    Here and in `register` the run must be one of the dataset: users may edit what `plan` has returned.
    """
    from imagefeatures.models.prepare import prepare

    settings = Settings.from_env()
    layout = _own(run_file, dataset, settings)
    with _stops_kept(layout, "model"):
        run = load_run(layout.run_file, settings.lake)
        return prepare(run.model, run.preprocessing, settings.lake, settings.cache)


def register(run_file: str, dataset: str) -> dict[str, Any]:
    """Publish the run. Returns its summary; skips when there was nothing to publish."""
    from imagefeatures.steps import REGISTER
    from imagefeatures.steps.register import EMPTY, register

    settings = Settings.from_env()
    layout = _own(run_file, dataset, settings)
    with _stops_kept(layout, REGISTER):
        outcome = register(layout.run_file, settings)
    if outcome.state == EMPTY:
        raise AirflowSkipException(f"nothing was listed ({outcome.why}): the published partition stays as it is")
    print(outcome)
    return outcome.summary


@contextlib.contextmanager
def _stops_kept(layout: Layout, step: str) -> Iterator[None]:
    """Keep in the run's folder what stops the step, for the page. Raises it all the same."""
    try:
        yield
    except ImageFeaturesError as error:
        stops.keep(layout, stops.Stop(step, type(error).__name__, str(error)))
        raise


def _own(run_file: str, dataset: str, settings: Settings) -> Layout:
    """The run of this URI, if it is one of this dataset in this lake. Raises ParamsError."""
    return Layout.of_run_file(run_file, settings.lake, dataset)
