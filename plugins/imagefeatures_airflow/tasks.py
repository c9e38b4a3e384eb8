"""The bodies of the tasks that run in Airflow's own workers. They call imagefeatures, which does the work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk.exceptions import AirflowSkipException

from imagefeatures import names, stops, storage
from imagefeatures.cost import RunCost
from imagefeatures.dataset_files import find_dataset
from imagefeatures.errors import ImageFeaturesError, InputError, ParamsError
from imagefeatures.layout import Layout
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import ClassifyParams
from imagefeatures.settings import Settings
from imagefeatures.steps import PLAN
from imagefeatures_airflow.form import params_of, redrive_params_of

if TYPE_CHECKING:
    from airflow.sdk.types import DagRunProtocol


def plan(
    folder: Path,
    dataset: str,
    params: dict[str, Any],
    partition_key: str | None,
    run: DagRunProtocol | None = None,
    keep: Callable[[str, Any], None] | None = None,
) -> str:
    """Settle the run of a dataset whose file is in that folder. Returns the URI of its run.json.

    params, partition_key, run: as for `form.params_of`. keep: keeps a value in Airflow under a key; what stops the task
    is kept so, for the page.
    """
    try:
        settled = params_of(params, partition_key, run)
        if settled.partition:
            table = names.table_name(dataset)
            print(f"this run fills the partition {settled.partition} of {table}; days are those of UTC")
        return plan_run(find_dataset(folder, dataset), settled, None, Settings.from_env())
    except ImageFeaturesError as error:
        if keep:
            keep(stops.STOPPED, asdict(stops.Stop(PLAN, type(error).__name__, str(error))))
        raise


class Redrives(NamedTuple):
    """planned: the run.json of each re-drive. left_out: of each partition that has none and should, why, by its key."""

    planned: list[str]
    left_out: dict[str, str]


def plan_redrives(folder: Path, dataset: str, params: dict[str, Any], run: DagRunProtocol | None = None) -> Redrives:
    """Plan a re-drive of each partition with a matching object. None is no error.

    Where no partition is named, one that cannot be taken again is left out. So are those beyond the number to which
    Airflow maps tasks. params, run: as for `form.redrive_params_of`. Raises what is wrong with every partition.
    """
    from airflow.sdk.configuration import conf

    from imagefeatures.redrive import choose
    from imagefeatures.redrive.left_out import LeftOut

    settings, found = Settings.from_env(), find_dataset(folder, dataset)
    settled = redrive_params_of(params, run)
    left_out, planned = LeftOut(dataset, settled.partition, print), list[str]()
    most = conf.getint("core", "max_map_length", fallback=1024)
    try:
        for key in choose.partitions(found, settled, settings):
            with left_out.noticed(key):
                if len(planned) == most and choose.choose(found, settled, key, settings):
                    raise ParamsError(
                        f"Airflow maps no more than {most:,} tasks: raise core.max_map_length, name the partition, or "
                        "use the command `imagefeatures redrive`"
                    )
                if len(planned) < most and (run_file := choose.plan_redrive(found, settled, key, settings)):
                    planned.append(run_file)
    except ImageFeaturesError:
        for run_file in planned:  # nobody will go on with them
            storage.delete_folder(Layout.of_run_file(run_file, settings.lake).run)
        raise
    if not planned:
        left_out.refuse()  # here, where a retry of the task helps if anything does
        print(f"nothing that is quarantined of {dataset} matches: no partition is changed")
    return Redrives(planned, {key: str(error) for key, error in left_out.errors.items()})


def refuse_left_out(left_out: dict[str, str], dataset: str) -> None:
    """Raise InputError where partitions were left out. left_out: as `plan_redrives` returns them."""
    from imagefeatures.redrive.left_out import in_one_line

    for key, why in left_out.items():
        print(f"{key} is left out: {why}")
    if left_out:
        raise InputError(in_one_line(dataset, list(left_out)))


def model(run_file: str, dataset: str) -> dict[str, Any]:
    """Make sure that the lake holds the run's model, verified. Returns what was measured.

    Here and in `register` the run must be one of the dataset: users may edit what `plan` has returned.
    """
    from imagefeatures.models.prepare import prepare

    settings = Settings.from_env()
    layout = _own(run_file, dataset, settings)
    with _stops_kept(layout, "model"):
        run = load_run(layout.run_file, settings.lake)
        prepared = [
            prepare(output.spec, output.preprocessing, settings.lake, settings.cache, run.dataset.engine)
            for output in run.models
        ]
        if not prepared:
            print("this run publishes pixels alone: there is no model to prepare")
            return {}
        first, *others = prepared
        return first | ({"others": others} if others else {})


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
    if cost := RunCost.of(outcome.row, settings.prices):
        print(f"cost: {cost}")
    print(outcome)
    return outcome.summary


def plan_classifier(folder: Path, dataset: str, params: dict[str, Any]) -> str:
    """Settle the fit of a classifier. Returns the URI of its job.json; skips where its evaluation is published.

    params: the form's fields. Raises ParamsError, DatasetError, InputError or NoInput.
    """
    from imagefeatures.learning import publish
    from imagefeatures.learning.job import load_job, plan_job

    settings = Settings.from_env()
    job_file = plan_job(dataset, find_dataset(folder, dataset).classify, ClassifyParams.parse(params), settings)
    job = load_job(job_file, settings.lake, dataset)
    if publish.is_published(job, settings):
        raise AirflowSkipException(
            f"{names.table_name(dataset)} and the settings are as they were: classifier {job.model_id} is there already"
        )
    return job_file


def publish_classifier(job_file: str, dataset: str) -> dict[str, Any]:
    """Publish what the Spark job has made. Returns the figures of the classifier."""
    from imagefeatures.learning.publish import publish

    row = publish(job_file, Settings.from_env(), dataset)
    print(f"{row['model_id']} is {'' if row['promoted'] else 'not '}promoted: {row['why']}")
    figures = ("model_id", "classifier", "rows_train", "rows_test", "accuracy", "macro_accuracy", "promoted", "picture")
    return {name: row[name] for name in figures}


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
