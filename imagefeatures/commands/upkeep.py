"""`imagefeatures upkeep`: what runs leave behind, out of the lake and out of the cache folder of this machine."""

from __future__ import annotations

import argparse

from imagefeatures.commands.printing import say
from imagefeatures.settings import Settings

HELP = "remove what runs leave behind: old snapshots, files of no snapshot, runs that were given up, old rejects"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed, and change nothing")


def run(parsed: argparse.Namespace) -> int:
    """Print what was removed. Returns 1 where something is left since it may be another's, or is damaged."""
    from imagefeatures.upkeep import work

    report = work.upkeep(Settings.from_env(), dry_run=parsed.dry_run)
    for line in report.lines():
        say(line)
    return 1 if report.refused else 0
