"""`imagefeatures forget`: images out of every table, file and snapshot of the lake, and out of all runs to come."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from imagefeatures.commands import asker
from imagefeatures.commands.printing import say
from imagefeatures.run_params import ForgetParams
from imagefeatures.settings import Settings

if TYPE_CHECKING:
    from imagefeatures.forget.report import Report

HELP = "remove images from all tables, files and snapshots for good, and reject them in all runs to come"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    described = {name: field.description for name, field in ForgetParams.model_fields.items()}
    parser.add_argument("--image-id", metavar="ID", nargs="+", action="extend", help=described["image_ids"])
    parser.add_argument("--uri", metavar="URI", nargs="+", action="extend", help=described["uris"])
    parser.add_argument("--why", metavar="TEXT", required=True, help=described["why"])
    asker.add_argument(parser)
    parser.add_argument("--dry-run", action="store_true", help=described["dry_run"])


def run(parsed: argparse.Namespace) -> int:
    """Forget them, and print what was done and what is left to others."""
    from imagefeatures.forget import work

    given = {"image_ids": parsed.image_id, "uris": parsed.uri, "why": parsed.why, "dry_run": parsed.dry_run}

    def tell(report: Report) -> None:
        for line in report.lines():
            say(line)

    work.forget(ForgetParams.parse(given), asker.name(parsed.by), Settings.from_env(), tell)
    return 0
