"""The command line: `imagefeatures COMMAND …`. Each command is a module of imagefeatures.commands."""

from __future__ import annotations

import argparse
import atexit
import errno
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from imagefeatures import starting
from imagefeatures.commands import (
    audit,
    check_store,
    export,
    feature_map,
    folder,
    forget,
    model,
    redrive,
    rejected,
    relocate_lake,
    repair,
    run,
    unpublish,
    upkeep,
)  # fmt: skip
from imagefeatures.commands.printing import open_streams, say
from imagefeatures.errors import EXIT_INPUT_ERROR, ImageFeaturesError, InputError
from imagefeatures.reasons import printable
from imagefeatures.wording import meant

COMMANDS = {
    "folder": folder,
    "run": run,
    "rejected": rejected,
    "redrive": redrive,
    "unpublish": unpublish,
    "forget": forget,
    "upkeep": upkeep,
    "model": model,
    "export": export,
    "audit": audit,
    "map": feature_map,
    "check-store": check_store,
    "repair": repair,
    "relocate-lake": relocate_lake,
}
starting.end()
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class Parser(argparse.ArgumentParser):
    """Refuses in one line, and names the option that was probably meant."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {printable(message)}; see {self.prog} --help\n")

    def refuse_unknown(self, arguments: Sequence[str]) -> None:
        """End the program if there are arguments that the parser does not know."""
        if arguments:
            given = arguments[0].partition("=")[0]
            near = meant(given, [*self._option_string_actions]) if given.startswith("-") else ""
            self.error(f"{arguments[0]}: no such argument{near if near.startswith(' (did') else ''}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0, 1, or EXIT_INPUT_ERROR for what another try would not change."""
    try:
        parsed = _parsed(arguments)
        status: int = parsed.run(parsed)
    except ImageFeaturesError as error:
        say(f"imagefeatures: {error}", file=sys.stderr)
        return EXIT_INPUT_ERROR if isinstance(error, InputError) else 1
    except BrokenPipeError:  # such as `| head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's end would complain
        return 1
    except OSError as error:
        if error.errno in NO_ROOM:
            place = error.filename or "the folder of temporary files (TMPDIR)"  # a full lake is a StoreRefused
            say(f"imagefeatures: {place}: no space left there; free some, then try again", file=sys.stderr)
        else:
            place = f"{error.filename}: " if error.filename else ""
            say(f"imagefeatures: {place}{error.strerror or error} ({type(error).__name__})", file=sys.stderr)
        return 1
    except Exception as error:  # a fault of this package: the lines before the last are for whoever mends it
        traceback.print_exc()
        say(f"imagefeatures: {type(error).__name__}: {error} (unexpected: please report it)", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("imagefeatures: stopped", file=sys.stderr)
        return starting.INTERRUPTED  # the command has ended all processes that it started
    return status


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="imagefeatures", description="Images to tables of features.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        own = commands.add_parser(name, help=command.HELP, description=f"{command.HELP[:1].upper()}{command.HELP[1:]}.")
        command.add_arguments(own)
        own.set_defaults(run=command.run, parser=own)
    parsed, unknown = parser.parse_known_args(arguments)
    parsed.parser.refuse_unknown(unknown)
    return parsed


def run_program() -> NoReturn:
    """Run a command, and end the process with its exit status: the program `imagefeatures`."""
    open_streams()
    status = main()
    atexit._run_exitfuncs()  # such as the end of the decode processes
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:  # such as `| head`: nobody reads on
        status = status or 1
    except OSError as error:
        status = status or 1
        print(f"imagefeatures: standard output: {error.strerror}", file=sys.stderr, flush=True)
    # Not sys.exit: one in sixty interpreters that had scanned a table by pyarrow aborted while it took itself apart
    # ("terminate called without an active exception", exit status 134), after a run that was published.
    os._exit(status)


if __name__ == "__main__":
    run_program()
