"""`make up`: Airflow with the user's datasets, until Ctrl-C."""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.local.services import AlreadyRunning, ServiceFailed, running_api, to_start


def up(home: Path, port: int) -> int:
    """Start Airflow in `home`, print how to log in, and watch it until Ctrl-C. Returns the exit status.

    An Airflow that runs there already is left alone: its address is printed, and nothing waits. Raises PortTaken
    before anything is started.
    """
    try:
        with to_start(home, port, triggerer=True) as services:
            try:
                say("starting Airflow …")
                services.start()
                say(f"{_login(home, port)}\n\nCtrl-C stops it.")
                services.watch(say)
            except KeyboardInterrupt:
                say("\nstopping …")
            except ServiceFailed as error:
                print(f"ServiceFailed: {error}\nstopping …", file=sys.stderr, flush=True)
                return 1
    except AlreadyRunning as other:
        owner = other.owner
        say(f"Airflow runs in {home} already. Process {owner.pid} has started it; Ctrl-C there stops it.")
        say(_login(home, owner.port))
    return 0


def say(text: str) -> None:
    print(text, flush=True)


def _login(home: Path, port: int) -> str:
    api = running_api(home, port)
    return f"\n  Airflow   {api.address}\n  user      admin\n  password  {api.password}"
