"""`imagefeatures run DATASET PARTITION`: one partition to the end on this machine, without Airflow and Spark."""

from __future__ import annotations

import argparse

from imagefeatures import names
from imagefeatures.commands import local_run
from imagefeatures.commands.printing import say
from imagefeatures.cost import RunCost
from imagefeatures.dataset_files import find_dataset
from imagefeatures.errors import ParamsError
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings, program

HELP = "one partition of a dataset to the end on this machine, without Airflow and Spark"
PARAMS = [name for name in RunParams.model_fields if name != "partition"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", help="name of a dataset file")
    parser.add_argument(
        "partition", metavar="PARTITION", nargs="?",
        help="what to fill, such as 2026-11-02 or yesterday; "
        f"not needed where the source has none: {names.WHOLE_SOURCE} then",
    )  # fmt: skip
    local_run.add_arguments(parser)
    parameters = parser.add_argument_group("run parameters", "By default as the dataset file says.")
    for name in PARAMS:
        described = RunParams.model_fields[name].description
        parameters.add_argument(f"--{name.replace('_', '-')}", metavar="VALUE", help=described)


def run(parsed: argparse.Namespace) -> int:
    """Run the partition, show its progress, and print its outcome, the seconds of each step and where the table is."""
    from imagefeatures import local
    from imagefeatures.plan import settle_partition
    from imagefeatures.progress import Progress

    settings = Settings.from_env()
    dataset = find_dataset(settings.datasets, parsed.dataset)
    given = {name: value for name in PARAMS if (value := getattr(parsed, name)) is not None}
    params = RunParams.parse({**given, "partition": parsed.partition})
    partition = settle_partition(params, None, dataset)
    params = params.model_copy(update={"partition": partition})  # the day that a word such as yesterday means
    if parsed.resume and (changed := [name for name in given if name != "replace_newer"]):
        raise ParamsError(f"--resume: the run goes on by its own parameters; leave out {', '.join(changed)}")
    local_run.announce(f"{dataset.name} {partition}", parsed.workers)
    progress = Progress(settings.lake, dataset.name, [partition]).update
    command = f"{program()} run {dataset.name} {partition}"
    with local_run.resumable(settings, dataset.name, partition, command, planned=parsed.resume):
        if parsed.resume:
            run_file = local.unfinished_run(settings, dataset.name, partition)
            result = local.finish_run(
                run_file, settings, workers=parsed.workers, progress=progress, replace_newer=params.replace_newer
            )
        else:
            result = local.run_partition(
                dataset, params, settings, partition, workers=parsed.workers, progress=progress
            )
    say(str(result.outcome))
    by_step = ", ".join(f"{step} {seconds:.1f}" for step, seconds in result.seconds.items())
    say(f"{sum(result.seconds.values()):.1f} s in all; seconds of each step: {by_step}")
    if cost := RunCost.of(result.outcome.row, settings.prices):
        say(f"Cost: {cost}")
    if result.outcome.row:
        for line in local_run.about_table(dataset, settings):
            say(line)
    local_run.statistics(dataset, result.outcome.row, settings)
    return 0
