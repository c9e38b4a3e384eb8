"""`imagefeatures check-store URI`: checks what a store does, before it is trusted with data."""

from __future__ import annotations

import argparse

from imagefeatures.commands.printing import say

HELP = "ask a store what it does, before trusting it with data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("uri", metavar="URI", help="s3://bucket/folder/ or file:///folder/; what is written is removed")


def run(parsed: argparse.Namespace) -> int:
    """Print one line for each check of a store. Returns 1 when the store lacks something that the pipeline needs."""
    from imagefeatures.storage import checks

    uri: str = parsed.uri
    missing = {True: 0, False: 0}  # by whether it is needed
    for result in checks.check_store(uri):
        level = "needed" if result.needed else "nice"
        say(f"{'yes' if result.yes else 'no ':3}  {level:6}  {result.name}" + _why_not(result.seen, result.costs))
        missing[result.needed] += not result.yes
    if missing[True]:
        say(f"{uri}: not fit for this pipeline, {missing[True]} of what it needs missing")
    else:
        say(f"{uri}: does all that is needed, and all that is nice" + f" but {missing[False]}" * bool(missing[False]))
    return 1 if missing[True] else 0


def _why_not(seen: str, costs: str) -> str:
    return f" -- {costs} ({seen if len(seen) <= 200 else seen[:199] + '…'})" if seen else ""
