"""`imagefeatures redrive DATASET`: quarantined objects are taken again, and what is whole now is merged in."""

from __future__ import annotations

import argparse
import sys
from functools import partial

from imagefeatures.commands import local_run, uri_lists
from imagefeatures.commands.printing import say
from imagefeatures.dataset_files import find_dataset
from imagefeatures.run_params import RedriveParams
from imagefeatures.settings import Settings, program

HELP = "take quarantined objects again, and merge what is whole now into its partition, on this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", help="name of a dataset file")
    described = {name: field.description for name, field in RedriveParams.model_fields.items()}
    parser.add_argument("--reason", metavar="REASON", help=described["reason"])
    parser.add_argument("--since", metavar="DAY", help=described["since"])
    parser.add_argument("--partition", metavar="PARTITION", help=described["partition"])
    uri_lists.add_argument(parser)
    local_run.add_workers(parser)


def run(parsed: argparse.Namespace) -> int:
    """Re-drive partition after partition. Returns 0 also when nothing matches.

    Where no partition is named, one that cannot be taken again is reported and left out. The error at the end names
    all of those. Where there are none, but a partition has an alert and the dataset file says `fail: true`, it is that.
    """
    from imagefeatures import local
    from imagefeatures.errors import AlertRaised
    from imagefeatures.progress import Progress
    from imagefeatures.redrive import choose
    from imagefeatures.redrive.left_out import LeftOut

    settings = Settings.from_env()
    dataset = find_dataset(settings.datasets, parsed.dataset)
    given = {name: getattr(parsed, name) for name in ("reason", "since", "partition")}
    params = RedriveParams.parse(given | {"uris": uri_lists.lines(parsed.uris)})
    left_out = LeftOut(dataset.name, params.partition, partial(say, file=sys.stderr))
    done, alerts = 0, []
    for partition in choose.partitions(dataset, params, settings):
        with left_out.noticed(partition):
            run_file = choose.plan_redrive(dataset, params, partition, settings)
            if run_file is None:
                continue
            local_run.announce(f"{dataset.name} {partition}, a re-drive", parsed.workers)
            progress = Progress(settings.lake, dataset.name, [partition]).update
            command = f"{program()} run {dataset.name} {partition}"
            with local_run.resumable(settings, dataset.name, partition, command, planned=True):
                result = local.finish_run(run_file, settings, workers=parsed.workers, progress=progress)
            say(str(result.outcome))
            done += 1
            try:
                local_run.statistics(dataset, result.outcome.row, settings)
            except AlertRaised as alert:  # the partition is merged, and not left out
                alerts.append(str(alert))
    left_out.refuse()  # first: it says what is still to be done, and the alerts are printed above
    if alerts:
        raise AlertRaised("; ".join(alerts))
    if not done:
        say(f"nothing that is quarantined of {dataset.name} matches: no partition was changed")
    return 0
