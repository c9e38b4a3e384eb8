"""`imagefeatures unpublish DATASET`: takes published rows back, out of all tables of the dataset at once."""

from __future__ import annotations

import argparse
import re
import sys
from functools import partial

from imagefeatures import names
from imagefeatures.commands import asker, uri_lists
from imagefeatures.commands.printing import say
from imagefeatures.errors import ParamsError
from imagefeatures.run_params import UnpublishParams
from imagefeatures.settings import Settings

HELP = "take published rows back: of a partition, of single objects, or of the whole dataset"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", help="name of a dataset; its file may be gone")
    described = {name: field.description for name, field in UnpublishParams.model_fields.items()}
    parser.add_argument("--partition", metavar="PARTITION", help=described["partition"])
    uri_lists.add_argument(parser)
    parser.add_argument("--why", metavar="TEXT", required=True, help=described["why"])
    asker.add_argument(parser)
    parser.add_argument("--dry-run", action="store_true", help=described["dry_run"])


def run(parsed: argparse.Namespace) -> int:
    """Take back partition after partition: what is wrong with one stops no other. Returns 0 where nothing matches."""
    from imagefeatures import unpublish
    from imagefeatures.redrive.left_out import LeftOut

    settings = Settings.from_env()
    if not re.fullmatch(names.DATASET_NAME, parsed.dataset):
        raise ParamsError(f"DATASET: {parsed.dataset!r} cannot be one")
    given = {name: getattr(parsed, name) for name in ("partition", "why", "dry_run")}
    params = UnpublishParams.parse(given | {"uris": uri_lists.lines(parsed.uris)})
    left_out, done = LeftOut(parsed.dataset, params.partition, partial(say, file=sys.stderr), "taken back"), 0
    asked_by = asker.name(parsed.by)
    for partition in unpublish.partitions(parsed.dataset, params, settings):
        with left_out.noticed(partition):
            if withdrawal := unpublish.withdraw(parsed.dataset, partition, params, asked_by, settings):
                say(str(withdrawal))
                done += 1
    left_out.refuse()
    if not done:
        say(f"nothing that {parsed.dataset} has published matches: no partition was changed")
    return 0
