"""The command line: `imagefeatures check-store URI`."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence

from imagefeatures.errors import EXIT_INPUT_ERROR, ImageFeaturesError, InputError
from imagefeatures.storage import checks


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0, 1, or EXIT_INPUT_ERROR for what another try would not change."""
    parser = argparse.ArgumentParser(prog="imagefeatures", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check-store", help="ask a store what it does, before trusting it with data")
    check.add_argument("uri", metavar="URI", help="s3://bucket/folder/ or file:///folder/; what is written is removed")
    check.set_defaults(run=lambda parsed: check_store(parsed.uri))
    parsed = parser.parse_args(arguments)
    try:
        return parsed.run(parsed)
    except ImageFeaturesError as error:
        _say(f"imagefeatures: {error}", file=sys.stderr)
        return EXIT_INPUT_ERROR if isinstance(error, InputError) else 1
    except KeyboardInterrupt:
        return 130  # as shells say it; the checks have removed their folder by now


def check_store(uri: str) -> int:
    """Print one line for each check of a store. Returns 1 when the pipeline needs something that it does not do."""
    noes = {True: 0, False: 0}
    for result in checks.check_store(uri):
        level = "needed" if result.needed else "nice"
        _say(f"{'yes' if result.yes else 'no ':3}  {level:6}  {result.name}" + _why_not(result.seen, result.costs))
        noes[result.needed] += not result.yes
    if noes[True]:
        _say(f"{uri}: not fit for this pipeline, {noes[True]} of what it needs missing")
    else:
        _say(f"{uri}: does all that is needed, and all that is nice" + f" but {noes[False]}" * bool(noes[False]))
    return 1 if noes[True] else 0


def _why_not(seen: str, costs: str) -> str:
    return f" -- {costs} ({seen if len(seen) <= 200 else seen[:199] + '…'})" if seen else ""


def _say(text: str, file: object = None) -> None:
    """Print one line that holds no secret: not the environment's, nor a password in an endpoint's address."""
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        if secret := os.environ.get(name):
            text = text.replace(secret, "***")
    text = re.sub(r"://[^/@\s]*@", "://***@", text)
    # A store's words, and a key in them, may hold anything: line ends, terminal escapes.
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    print(text, file=file or sys.stdout, flush=True)


if __name__ == "__main__":
    sys.exit(main())
