"""`imagefeatures map DATASET`: the vectors of partitions on a plane, for the page, kept in the lake."""

from __future__ import annotations

import argparse
import re

from imagefeatures import names
from imagefeatures.commands.printing import say
from imagefeatures.errors import ParamsError
from imagefeatures.settings import Settings

HELP = "the vectors of a dataset on a plane, for the page in Airflow: computed once, kept in the lake"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", help="name of a dataset that is published")
    parser.add_argument(
        "--partition", action="append", metavar="PARTITION", help="of this partition; give it again for another"
    )


def run(parsed: argparse.Namespace) -> int:
    """Compute the map, unless the lake has it, and say what it is and where it is."""
    from imagefeatures.maps import choice, stored

    if not re.search(names.DATASET_NAME, parsed.dataset):
        raise ParamsError(f"DATASET: {parsed.dataset!r} cannot be one")
    settings = Settings.from_env()
    chosen = choice.published(settings, parsed.dataset, parsed.partition)
    there = stored.find(settings.lake, chosen.dataset, chosen.digest)
    found = there or stored.make(settings, chosen)
    facts = found.facts
    say(
        f"{names.table_name(parsed.dataset)}, snapshot {facts['snapshot']}: {facts['photos']:,} photos, "
        f"{facts['images']:,} different images"
    )
    say(f"{facts['shown']:,} are shown: {facts['sample']}")
    say(f"placed by {facts['method']}")
    say(f"{stored.uri_of(settings.lake, chosen)}: {'was there, made' if there else 'made'} {facts['made_at']}")
    return 0
