"""Every error of a catalog's drivers becomes one line of ours, by which a retry is or is not of use."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from pyiceberg.exceptions import ForbiddenError, RESTError, ServerError, ServiceUnavailableError, TooManyRequestsError
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from imagefeatures.catalog import connect
from imagefeatures.errors import CatalogError, CatalogRefused, SettingsError

POSTGRES = "postgresql+psycopg://user:se%40cret@db:5433/features"
SQLITE = "sqlite:////lake/catalog.db"
REST = "http://user:secret@rest:8181/catalog"
OF_POSTGRES, OF_SQLITE, OF_REST = (
    "postgresql database features on db:5433: ",
    "sqlite database /lake/catalog.db: ",
    "REST catalog http://rest:8181/catalog: ",
)


class OfDriver(Exception):
    """A driver's error, as psycopg has it. primary: the server's message alone."""

    def __init__(self, text: str, sqlstate: str | None = None, primary: str | None = None) -> None:
        super().__init__(text)
        self.sqlstate = sqlstate
        self.diag = type("Diagnostic", (), {"message_primary": primary})()


def told(error: Exception, catalog: str) -> tuple[type[BaseException], str]:
    """What becomes of an error: the class and the line."""
    with pytest.raises(Exception) as raised, connect.readable_errors(catalog):
        raise error
    return raised.type, str(raised.value)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("28P01", CatalogRefused),
        ("3D000", CatalogRefused),
        ("42501", CatalogRefused),
        ("25006", CatalogRefused),
        ("25001", CatalogError),
        ("57P03", CatalogError),
        ("08006", CatalogError),
    ],
)
def test_a_servers_code_says_whether_a_retry_may_help(state: str, kind: type[Exception]) -> None:
    """The message of the server alone is shown, without the statement; and a code counts more than words."""
    error = DBAPIError("select secret", {}, OfDriver("ignored", state, "it does not exist"))
    assert told(error, POSTGRES) == (kind, f"{OF_POSTGRES}it does not exist")


@pytest.mark.parametrize("text", connect.FINAL_MESSAGES)
def test_without_a_code_the_message_says_it(text: str) -> None:
    kind, line = told(OperationalError("", {}, OfDriver(f"connection failed: {text}")), POSTGRES)
    assert kind is CatalogRefused
    assert line.startswith(f"{OF_POSTGRES}connection failed: {text}")


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("attempt to write a readonly database", "give this process the right to write the file and its folder"),
        (
            "unable to open database file",
            "its folder must exist, and this process must be allowed to write there",
        ),
        ("file is not a database", "IMAGEFEATURES_CATALOG names another file, or the database is damaged"),
        ("database disk image is malformed", "the database is damaged: restore its backup"),
        ("no such column: iceberg_tables.catalog_name", "IMAGEFEATURES_CATALOG names the database of another program"),
        ("database is locked", "another program holds it: end that program, or try again"),
        ("database or disk is full", "free some space there, then try again"),
        ("permission denied for schema public", "give the user in IMAGEFEATURES_CATALOG this right"),
        (
            "cannot execute INSERT in a read-only transaction",
            "IMAGEFEATURES_CATALOG must name a server that takes writes",
        ),
    ],
)
def test_what_is_to_be_done_follows_a_message(message: str, remedy: str) -> None:
    _, line = told(OperationalError("", {}, Exception(message)), SQLITE)
    assert line == f"{OF_SQLITE}{message}; {remedy}"


def test_any_other_message_may_pass() -> None:
    assert told(OperationalError("", {}, Exception("starting up")), SQLITE) == (CatalogError, f"{OF_SQLITE}starting up")
    full = OperationalError("", {}, Exception("database or disk is full"))
    assert told(full, SQLITE)[0] is CatalogError


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (PoolTimeout("no connection"), CatalogError, "TimeoutError: no connection"),
        (ServerError("of the server"), CatalogError, "of the server"),
        (ServiceUnavailableError("busy"), CatalogError, "busy"),
        (TooManyRequestsError("slowly"), CatalogError, "slowly"),
        (ForbiddenError("not you"), CatalogRefused, "ForbiddenError: not you"),
        (RESTError("odd"), CatalogRefused, "RESTError: odd"),
        (requests.exceptions.JSONDecodeError("x", "", 0), CatalogRefused, "the server there is not a REST catalog"),
        (requests.exceptions.ReadTimeout("x"), CatalogError, "no answer (ReadTimeout)"),
        (ValueError("x"), CatalogRefused, "the server there is not a REST catalog"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_errors_of_a_rest_catalog(error: Exception, kind: type[Exception], said: str) -> None:
    assert told(error, REST) == (kind, f"{OF_REST}{said}")


@pytest.mark.parametrize("error", [requests.exceptions.InvalidURL("x"), requests.exceptions.InvalidSchema("x")])
def test_what_is_no_url_is_the_settings_fault(error: Exception) -> None:
    said = "IMAGEFEATURES_CATALOG: not a URL of a REST catalog: REST catalog http://rest:8181/catalog"
    assert told(error, REST) == (SettingsError, said)


def test_what_is_no_address_of_a_rest_catalog_is_the_settings_fault_too() -> None:
    with pytest.raises(SettingsError, match=r"^IMAGEFEATURES_CATALOG: not a URL of a REST catalog: Invalid IPv6 URL$"):
        connect.describe("http://user:secret@[::1/catalog")
    for host in ("ex\u2100mple", "[secret]"):  # whose words quote the user and the password, or a part of them
        with pytest.raises(SettingsError, match=r"a REST catalog: its host or port holds what none has "):
            connect.describe(f"http://user:secret@{host}/catalog")
    for word in ("secret/x", "secret?x"):  # so that the password would pass for the host
        with pytest.raises(SettingsError, match=r"none has \(in a password write / as %2F, "):
            connect.describe(f"http://user:{word}@host/catalog")
    assert connect.describe("http://user:secret@[::1]:/catalog") == "REST catalog http://[::1]:/catalog"


def test_a_mistake_of_ours_beside_a_database_stays_what_it_is() -> None:
    assert told(ValueError("ours"), SQLITE) == (ValueError, "ours")


@pytest.mark.parametrize(
    ("text", "catalog", "line"),
    [
        ("a  b\n\tc", SQLITE, "a b c"),
        ("user:se@cret and se@cret", POSTGRES, "user:*** and ***"),
        ("for secret", REST, "for ***"),
        ("x" * 300, SQLITE, "x" * 300),
        ("x" * 301, SQLITE, "x" * 299 + "…"),
    ],
)
def test_a_message_is_one_line_of_at_most_300_characters_without_the_password(
    text: str, catalog: str, line: str
) -> None:
    kind, said = told(OperationalError("", {}, Exception(text)), catalog)
    assert (kind, said.partition(": ")[2]) == (CatalogError, line)


@pytest.mark.parametrize(
    ("catalog", "words"),
    [
        (POSTGRES, "postgresql database features on db:5433"),
        ("postgresql+psycopg://db/features", "postgresql database features on db"),
        (SQLITE, "sqlite database /lake/catalog.db"),
        (REST, "REST catalog http://rest:8181/catalog"),
        ("https://rest/a", "REST catalog https://rest/a"),
    ],
)
def test_a_catalog_in_words_has_kind_name_and_host(catalog: str, words: str) -> None:
    assert connect.describe(catalog) == words


@pytest.mark.parametrize(
    ("catalog", "file"),
    [
        (SQLITE, Path("/lake/catalog.db")),
        ("sqlite:////lake/a/../catalog.db?timeout=60", Path("/lake/a/../catalog.db")),
        ("sqlite:///file:/lake/catalog.db?uri=true", None),
        (POSTGRES, None),
        (REST, None),
    ],
)
def test_the_file_of_a_sqlite_catalog(catalog: str, file: Path | None) -> None:
    assert connect.sqlite_file(catalog) == file


def test_only_a_sqlite_file_may_not_exist_yet(tmp_path: Path) -> None:
    assert not connect.exists(f"sqlite:///{tmp_path}/catalog.db")
    (tmp_path / "catalog.db").touch()
    assert connect.exists(f"sqlite:///{tmp_path}/catalog.db")
    assert connect.exists(POSTGRES)
    assert connect.exists(REST)


@pytest.mark.parametrize(
    ("catalog", "said"),
    [
        ("secret", "neither a database's URL, such as postgresql"),
        ("oracle+secret://h/d", "neither a database's URL, such as postgresql"),
        ("postgresql+psycopg://user:secret@h:secret/d", "neither a database's URL, such as postgresql"),
        ("mysql+mysqldb://user:secret@h/d", "no driver for mysql\\+mysqldb:// \\(No module named 'MySQLdb'\\); "),
        ("postgresql+psycopg://user:p@secret@h/d", "the password holds an @; write it as %40$"),
        ("postgresql+psycopg://user:secret\udcff@h/d", "it is not UTF-8$"),
        ("sqlite:////lake/\udcff.db", "it is not UTF-8$"),
        ("sqlite:////c.db?timeout=secret", "a parameter of the URL is not right, or is there twice: timeout$"),
        ("sqlite:////c.db?timeout=1&timeout=2", "a parameter of the URL is not right, or is there twice: timeout$"),
        ("sqlite:////c.db?uri=true&check_same_thread=x", "a parameter of the URL is .*: uri, check_same_thread$"),
        ("postgresql+psycopg://user@h/d?port=secret", "a parameter of the URL is not right, or is there twice: port$"),
        ("sqlite://user:secret@h//c.db", "a SQLite database has no user and no host; write sqlite:////path$"),
    ],
)
def test_what_is_no_database_is_refused_without_its_password(catalog: str, said: str) -> None:
    with pytest.raises(SettingsError, match=f"^IMAGEFEATURES_CATALOG: {said}") as refused:
        connect.sql_url(catalog)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "file",
    ["", "/:memory:", "/file:x?mode=memory&uri=true", "/file:/x?uri=true&mode=memory", "/file:/a%3Fmode=memory"],
)
def test_a_sqlite_database_in_memory_is_refused(file: str) -> None:
    with pytest.raises(SettingsError, match=r"^IMAGEFEATURES_CATALOG: this SQLite database is in memory, "):
        connect.sql_url(f"sqlite://{file}")


@pytest.mark.parametrize(("given", "path"), [("catalog.db", "catalog.db"), ("file:a/b.db?uri=true", "a/b.db")])
def test_a_relative_path_is_refused_with_the_one_to_write(given: str, path: str) -> None:
    with pytest.raises(SettingsError, match=rf"Write it with four slashes: sqlite:///{Path.cwd()}/{path}$"):
        connect.sql_url(f"sqlite:///{given}")
    assert connect.sql_url(f"sqlite:///file:{Path.cwd()}/{path}?uri=true").database


def test_the_properties_of_a_catalog() -> None:
    assert connect.properties(SQLITE, "file:///lake") == {"type": "sql", "uri": SQLITE, "warehouse": "file:///lake"}
    timeout = f"?connect_timeout={connect.CONNECT_SECONDS}"
    assert connect.properties(POSTGRES, "w") == {"type": "sql", "uri": POSTGRES + timeout, "warehouse": "w"}


def test_a_rest_catalog_is_asked_once_and_gets_no_warehouse(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr(requests, "head", lambda url, **options: asked.append((url, options)))
    assert connect.properties(REST, "file:///lake") == {"type": "rest", "uri": REST}
    timeout = (connect.CONNECT_SECONDS, connect.ANSWER_SECONDS)
    assert asked == [(REST, {"timeout": timeout, "allow_redirects": False})]
