"""python -m deploy.local up | run DATASET PARTITION | spark-sql | airflow … | spark-start"""

from __future__ import annotations

import argparse
import os
import signal
import sys

from deploy.local import spark_start
from deploy.local.environment import HOME, environment
from deploy.local.run_partition import run_partition
from deploy.local.services import airflow
from deploy.local.spark_sql import spark_sql
from imagefeatures.errors import ImageFeaturesError
from imagefeatures.settings import Settings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up_command = commands.add_parser("up", help="Airflow's UI and scheduler, until Ctrl-C")
    up_command.add_argument("--port", type=int, default=8080)
    run_command = commands.add_parser("run", help="one partition to the end")
    run_command.add_argument("dataset")
    run_command.add_argument("partition")
    airflow_command = commands.add_parser("airflow", help="Airflow's own command line, in this deployment")
    airflow_command.add_argument("words", nargs=argparse.REMAINDER)
    commands.add_parser("spark-sql", help="Spark SQL on the tables: a shell, or the answer to the variable QUERY")
    commands.add_parser("spark-start", help="make what lets Spark start sooner")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, as_ctrl_c)
    try:
        if given.command == "up":
            return up(given.port)
        if given.command == "run":
            # A database of its own: the scheduler of a running `make up` would take this run's tasks for its own.
            return run_partition(HOME / "run", given.dataset, given.partition)
        if given.command == "airflow":
            os.execvpe("airflow", ["airflow", *given.words], environment(HOME, 0))  # noqa: S606, S607
        if given.command == "spark-sql":
            # From the environment: what a user typed is then no part of any command line.
            return spark_sql(Settings.from_env(), os.environ.get("QUERY") or None, HOME)
        spark_start.make()
        return 0
    except ImageFeaturesError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


def up(port: int) -> int:
    print("starting Airflow …", flush=True)
    with airflow(HOME, port) as api:
        print(
            f"\n  Airflow   {api.address}\n  user      admin\n  password  {api.password}\n\nCtrl-C stops it.",
            flush=True,
        )
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("\nstopping …", flush=True)
    return 0


def as_ctrl_c(*_: object) -> None:
    """A polite `kill` does what Ctrl-C does: whatever was started is stopped first."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
