"""Whether Airflow's database still has to be migrated: asking Airflow takes as long as all tasks of a small run."""

from __future__ import annotations

import configparser
import contextlib
import json
import sqlite3
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

COMMAND = ["airflow", "db", "migrate"]
OPTION = "sql_alchemy_conn"
OTHER_DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
"""Its variables begin so: the database itself, or the command or secret that gives it."""


def is_current(home: Path, env: Mapping[str, str]) -> bool:
    """Whether the database in Airflow's folder is as COMMAND of the installed Airflow has left it.

    False where the user's variables or airflow.cfg name a database: another Airflow may migrate that one.
    """
    if any(name.startswith(OTHER_DATABASE) for name in env) or _configured(home):
        return False
    state = _state(home)
    with contextlib.suppress(OSError, ValueError):
        return state is not None and bool(json.loads(_file(home).read_text()) == state)
    return False


def remember(home: Path) -> None:
    """Note that COMMAND has succeeded."""
    if state := _state(home):
        _file(home).write_text(json.dumps(state))


def _configured(home: Path) -> bool:
    """Whether airflow.cfg names a database other than that of its folder, which Airflow writes there itself."""
    config = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        config.read(home / "airflow.cfg", encoding="utf-8")
        named = dict(config["database"]) if config.has_section("database") else {}
    except (OSError, ValueError, configparser.Error):  # Airflow says what is wrong with it
        return True
    own = f"sqlite:///{home}/airflow.db"
    options = (OPTION, f"{OPTION}_cmd", f"{OPTION}_secret")
    return any(named.get(option, own).replace("%%", "%") != own for option in options)


def _file(home: Path) -> Path:
    return home / "migrated.json"


def _state(home: Path) -> dict[str, str] | None:
    """The database's revision, and the version of Airflow; None where there is no database that Airflow has made."""
    address = f"{(home / 'airflow.db').absolute().as_uri()}?mode=ro"  # else a missing database would be made
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(address, uri=True, timeout=60)) as database,
    ):
        for (revision,) in database.execute("SELECT version_num FROM alembic_version"):
            return {"airflow": version("apache-airflow-core"), "revision": revision}
    return None
