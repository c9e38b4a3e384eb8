"""Airflow's database is migrated when that is needed, and not when it is known to be in order."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from deploy.local import migration

NO_VARIABLES: dict[str, str] = {}


def revise(home: Path, statement: str) -> None:
    with closing(sqlite3.connect(home / "airflow.db")) as database, database:
        database.execute(statement)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder whose database was migrated. Its name has characters that addresses escape."""
    folder = tmp_path / "100 % mine?"
    folder.mkdir()
    revise(folder, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    revise(folder, "INSERT INTO alembic_version VALUES ('a1b2c3')")
    migration.remember(folder)
    return folder


def test_a_migrated_database_is_current_until_something_changes(home: Path) -> None:
    assert migration.is_current(home, NO_VARIABLES)
    migration.remember(home)
    assert migration.is_current(home, {"AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False"})


@pytest.mark.parametrize(
    "change",
    [
        lambda home: (home / "airflow.db").unlink(),
        lambda home: revise(home, "UPDATE alembic_version SET version_num = 'd4'"),
        lambda home: revise(home, "DELETE FROM alembic_version"),
        lambda home: revise(home, "DROP TABLE alembic_version"),
        lambda home: (home / "airflow.db").write_bytes(b"no database at all" * 100),
        lambda home: (home / "migrated.json").unlink(),
        lambda home: (home / "migrated.json").write_text("{"),
        lambda home: (home / "migrated.json").write_text("null"),
    ],
)
def test_a_database_of_another_state_is_migrated(home: Path, change: Callable[[Path], object]) -> None:
    change(home)
    assert not migration.is_current(home, NO_VARIABLES)


def test_another_airflow_migrates(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration, "version", lambda package: "99.0")
    assert not migration.is_current(home, NO_VARIABLES)


@pytest.mark.parametrize("name", ["", "_CMD", "_SECRET"])
def test_a_database_that_variables_name_is_always_migrated(home: Path, name: str) -> None:
    assert not migration.is_current(home, {migration.OTHER_DATABASE + name: "postgresql://a.org/airflow"})


def test_a_database_that_airflow_cfg_names_is_always_migrated(home: Path) -> None:
    settings = home / "airflow.cfg"
    own = f"sqlite:///{home}/airflow.db".replace("%", "%%")
    settings.write_text(f"[core]\nexecutor = LocalExecutor\n[database]\nsql_alchemy_conn = {own}\n")
    assert migration.is_current(home, NO_VARIABLES)  # as Airflow writes it
    for line in ("sql_alchemy_conn = postgresql://a.org/airflow", "sql_alchemy_conn_cmd = cat /run/secrets/db", "\0["):
        settings.write_text(f"[database]\n{line}\n")
        assert not migration.is_current(home, NO_VARIABLES)


def test_no_database_is_none_and_is_not_made(tmp_path: Path) -> None:
    migration.remember(tmp_path)
    assert not migration.is_current(tmp_path, NO_VARIABLES)
    assert not list(tmp_path.iterdir())
    (tmp_path / "migrated.json").write_text("null")
    assert not migration.is_current(tmp_path, NO_VARIABLES)
