"""An unusable catalog: plan refuses the run in one line that names host and database, and no password."""

from __future__ import annotations

import dataclasses
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from imagefeatures.catalog import connect, tables
from imagefeatures.datasets import Dataset
from imagefeatures.errors import CatalogError, CatalogRefused, ImageFeaturesError, InputError, SettingsError
from imagefeatures.plan import plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from support.servers import free_port

ODD = "canary @:/?#%25 \\ \"'é${HOME}"
Plan = Callable[[str], str]


@pytest.fixture
def plan(settings: Settings, tmp_path: Path) -> Plan:
    """plan(catalog): the one-line error of a plan with that catalog, which has written no run.json."""

    def refused(url: str, kind: type[ImageFeaturesError] = CatalogRefused) -> str:
        with pytest.raises(kind) as stopped:
            dataset = Dataset(name="photos", source=f"file://{tmp_path}/none/")
            plan_run(dataset, RunParams(), "2026-11-02", dataclasses.replace(settings, catalog=url))
        assert isinstance(stopped.value, InputError) == (kind is not CatalogError)
        text = str(stopped.value)
        assert "\n" not in text
        assert "canary" not in text
        assert not list(Path(settings.lake.removeprefix("file://"), "staging").rglob("run.json"))
        return text

    return refused  # type: ignore[return-value]


def test_a_password_may_hold_any_character(settings: Settings, make_database: Callable[..., str]) -> None:
    odd = dataclasses.replace(settings, catalog=make_database(ODD))
    assert tables.open_table(tables.open_catalog(odd), odd, "photos").name() == ("features", "photos")


def test_a_wrong_password_a_missing_database_and_a_missing_user_are_refused(
    plan: Plan, make_database: Callable[..., str]
) -> None:
    url = make_database()
    host, name = url.rpartition("@")[2].split("/")
    description = f"postgresql database {name} on {host}: "
    user, password = urlsplit(url).username, urlsplit(url).password
    assert plan(url.replace(f"{password}@", "canary-wrong@")).startswith(description)
    assert f'password authentication failed for user "{user}"' in plan(url.replace(f"{password}@", "canary-wrong@"))
    assert '"nobody"' in plan(url.replace(f"//{user}:", "//nobody:"))
    assert 'database "no_such" does not exist' in plan(url.replace(name, "no_such"))
    assert "SSL" in plan(url + "?sslmode=require")


def test_a_user_who_may_not_create_the_catalogs_tables_is_refused(
    plan: Plan, make_database: Callable[..., str]
) -> None:
    url, other = make_database(), make_database("canary-of-another")
    theirs = other.rpartition("/")[0] + "/" + url.rpartition("/")[2]
    assert plan(theirs).endswith(
        ": permission denied for schema public; give the user in IMAGEFEATURES_CATALOG this right"
    )


def test_a_database_that_is_starting_may_pass(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def starting(*_: object, **__: object) -> None:
        raise psycopg.OperationalError("connection failed: FATAL:  the database system is starting up")

    monkeypatch.setattr(psycopg, "connect", starting)
    assert "starting up" in plan("postgresql+psycopg://u:canary@127.0.0.1/db", CatalogError)


@pytest.mark.parametrize("url", ["postgresql+psycopg://u:canary@{host}/db", "http://u:canary@{host}/db"])
def test_a_server_out_of_reach_may_pass(plan: Plan, url: str) -> None:
    host = f"127.0.0.1:{free_port()}"
    text = plan(url.format(host=host), CatalogError)
    assert host in text and "db" in text


@pytest.mark.parametrize("url", ["postgresql+psycopg://u:canary@{host}/db?connect_timeout=2", "http://{host}/db"])
def test_a_silent_server_is_given_up_after_a_timeout(plan: Plan, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "ANSWER_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        assert host in plan(url.format(host=host), CatalogError)


def test_postgresql_has_a_timeout_unless_the_setting_has_one() -> None:
    url = "postgresql+psycopg://u:p%40@h/db"
    assert connect.properties(url, "w")["uri"] == f"{url}?connect_timeout={connect.CONNECT_SECONDS}"
    assert connect.properties(f"{url}?connect_timeout=3", "w")["uri"] == f"{url}?connect_timeout=3"


@pytest.fixture
def web_server() -> Iterator[Callable[[int, bytes], str]]:
    """web_server(status, body): the address of a server that sends this response to every request."""
    running: list[HTTPServer] = []

    def serve(status: int, body: bytes) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            do_HEAD = do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return f"http://user:canary@127.0.0.1:{server.server_port}/catalog"

    yield serve
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"<html>a console</html>", CatalogRefused),
        (401, b'{"error": {"message": "who", "type": "NotAuthorized", "code": 401}}', CatalogRefused),
        (403, b"", CatalogRefused),
        (404, b"<html>nothing here</html>", CatalogRefused),
        (503, b"", CatalogError),
    ],
)
def test_what_a_rest_server_answers(
    plan: Plan, web_server: Callable[[int, bytes], str], status: int, body: bytes, kind: type[ImageFeaturesError]
) -> None:
    url = web_server(status, body)
    assert plan(url, kind).startswith(f"REST catalog {url.replace('user:canary@', '')}: ")


@pytest.mark.parametrize(
    "url",
    [
        "canary", "postgresql+psycopg:canary", "oracle+canary://h/d", "mysql+mysqldb://u:canary@h/d", "http://",
        "sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true", "sqlite:///catalog.db",
        "sqlite:///~/catalog.db", "sqlite:///file:catalog.db?uri=true", "postgresql+psycopg://u:c@canary@h/d",
        "postgresql+psycopg://u:c@c:canary@h/d", "http://user:canary@/x",
    ],
)  # fmt: skip
def test_what_is_no_catalog_is_refused_by_the_settings_name(plan: Plan, url: str) -> None:
    assert plan(url, SettingsError).startswith("IMAGEFEATURES_CATALOG: ")


def test_sqlite_without_its_folder_or_with_another_file_is_refused(plan: Plan, tmp_path: Path) -> None:
    assert plan("sqlite:////no/such/folder/c.db").startswith("sqlite database /no/such/folder/c.db: unable to open")
    (tmp_path / "c.db").write_text("not a database" * 100)
    assert plan(f"sqlite:///{tmp_path}/c.db").endswith(
        "file is not a database; IMAGEFEATURES_CATALOG names another file, or the database is damaged"
    )


def test_a_new_sqlite_file_has_the_mode_of_the_lakes_files(settings: Settings) -> None:
    Path(settings.lake.removeprefix("file://")).chmod(0o755)
    tables.open_catalog(settings)
    file = connect.sqlite_file(settings.catalog)
    assert file is not None
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    file.chmod(0o660)
    tables.open_catalog(settings)  # one that is there stays as somebody has made it
    assert stat.S_IMODE(file.stat().st_mode) == 0o660
