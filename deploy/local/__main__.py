"""The local deployment: python -m deploy.local up | run DATASET [PARTITION] | spark-sql | airflow … | spark-start"""

from __future__ import annotations

import argparse
import os
import signal
import sys

from deploy import private
from deploy.local import spark_start
from deploy.local.environment import HOME, environment
from deploy.local.run_partition import run_partition
from deploy.local.run_variables import run_parameters
from deploy.local.spark_sql import spark_sql
from deploy.local.up import up
from imagefeatures.errors import ImageFeaturesError
from imagefeatures.settings import Settings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up_command = commands.add_parser("up", help="Airflow's UI and scheduler, until Ctrl-C")
    up_command.add_argument("--port", type=port_number, default=8080)
    run_command = commands.add_parser("run", help="run one partition to the end")
    run_command.add_argument("dataset")
    run_command.add_argument("partition", nargs="?", help="needed where the dataset's source has {partition}")
    airflow_command = commands.add_parser("airflow", help="Airflow's own command line, in this deployment")
    airflow_command.add_argument("words", nargs=argparse.REMAINDER)
    commands.add_parser("spark-sql", help="Spark SQL on the tables: a shell, or the result of the variable QUERY")
    commands.add_parser("spark-start", help="make the files that let Spark start sooner")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, interrupt)
    try:
        if arguments.command in ("run", "airflow"):
            private.make_folder(HOME)  # Airflow's databases, logs and keys are in it
        if arguments.command == "up":
            return up(HOME, arguments.port)
        if arguments.command == "run":
            # A database of its own, or the scheduler of a running `make up` would pick up this run's tasks.
            given = run_parameters(os.environ)
            return run_partition(HOME / "run", arguments.dataset, arguments.partition, given)
        if arguments.command == "airflow":
            os.execvpe("airflow", ["airflow", *arguments.words], environment(HOME, 0))  # noqa: S606, S607
        if arguments.command == "spark-sql":
            # From the environment, so that no command line contains what a user typed.
            return spark_sql(Settings.from_env(), os.environ.get("QUERY") or None, HOME)
        spark_start.make()
        return 0
    except ImageFeaturesError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130  # as shells say it


def port_number(text: str) -> int:
    """Raises ValueError, which argparse turns into one line."""
    if not 0 < int(text) < 65536:
        raise ValueError(text)
    return int(text)


def interrupt(*_: object) -> None:
    """Handle SIGTERM like Ctrl-C: stop all started processes first."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
