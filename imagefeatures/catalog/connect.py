"""The connection to the Iceberg catalog: its properties, and one readable line for each error.

The drivers' own messages have several lines or quote the URL. The messages made here name the catalog (kind, database,
host) and never contain the password.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import requests
from pyiceberg.exceptions import RESTError, ServerError, ServiceUnavailableError, TooManyRequestsError
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from imagefeatures.errors import CatalogError, CatalogRefused, SettingsError
from imagefeatures.reasons import printable

CONNECT_SECONDS = 10
"""The longest that a server may take to accept a connection."""

ANSWER_SECONDS = 30
"""The longest that a REST catalog may take for its first answer."""

VARIABLE = "IMAGEFEATURES_CATALOG"
LONGEST_MESSAGE = 300

# A retry does not change these errors. libpq gives a failed connection no code, only a message; its other messages
# (the server is starting up, has too many clients, cannot be reached) mean a state that may pass.
FINAL_MESSAGES = (
    "authentication failed", "no password supplied", "not permitted to log in", "no pg_hba.conf entry",
    "permission denied", "does not exist", "does not support SSL", "invalid connection option", "invalid sslmode",
    "unable to open database file", "file is not a database", "readonly database", "is malformed", "no such column",
)  # fmt: skip
REMEDIES = {
    "readonly database": "give this process the right to write the file and its folder",
    "unable to open database file": "its folder must exist, and this process must be allowed to write there",
    "file is not a database": "IMAGEFEATURES_CATALOG names another file, or the database is damaged",
    "is malformed": "the database is damaged: restore its backup",
    "no such column": "IMAGEFEATURES_CATALOG names the database of another program",
    "database is locked": "another program holds it: end that program, or try again",
    "database or disk is full": "free some space there, then try again",
    "permission denied": "give the user in IMAGEFEATURES_CATALOG this right",
    "read-only transaction": "IMAGEFEATURES_CATALOG must name a server that takes writes",
}
"""What to do about a message of a database that holds the text."""

FINAL_STATES = ("28", "3D", "42", "25006")  # SQLSTATE: authorization, no such database, no privilege, read-only


def is_rest(catalog: str) -> bool:
    """Whether the setting is the URL of a REST catalog, not of a database.

    >>> is_rest("https://catalog:8181"), is_rest("sqlite:////lake/catalog.db")
    (True, False)
    """
    return catalog.startswith(("http://", "https://"))


def sql_url(catalog: str) -> URL:
    """The setting as SQLAlchemy's URL. Raises SettingsError, without quoting the setting: it may hold a password.

    >>> sql_url("postgresql+psycopg://user:p%40ss@db/features").password
    'p@ss'
    """
    if re.search("[\ud800-\udfff]", catalog):
        raise SettingsError(f"{VARIABLE}: it is not UTF-8")
    try:
        url = make_url(catalog)
        url.get_dialect().import_dbapi()
    except (ArgumentError, ValueError):
        raise SettingsError(
            f"{VARIABLE}: neither a database's URL, such as postgresql+psycopg://user:password@host/database, nor "
            "http(s)://… (in user and password write @ as %40, : as %3A, / as %2F, % as %25)"
        ) from None
    except ImportError as error:
        raise SettingsError(
            f"{VARIABLE}: no driver for {url.drivername}:// ({error}); PostgreSQL's is postgresql+psycopg://"
        ) from None
    if "@" in (url.host or ""):
        raise SettingsError(f"{VARIABLE}: the password holds an @; write it as %40")
    if url.get_backend_name() == "sqlite":
        _check_file(url)
    _check_parameters(url)
    return url


def _check_parameters(url: URL) -> None:
    """Raise SettingsError where SQLAlchemy cannot hand a part of the URL to the driver."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of a parameter that is passed over: said when it connects
            url.get_dialect()().create_connect_args(url)
    except (ArgumentError, ValueError, TypeError):  # whose words quote values, and one may be the password
        why = f"a parameter of the URL is not right, or is there twice: {', '.join(map(printable, url.query))}"
        if url.get_backend_name() == "sqlite" and (url.username or url.host):
            why = "a SQLite database has no user and no host; write sqlite:////path"
        raise SettingsError(f"{VARIABLE}: {why}") from None


def _check_file(url: URL) -> None:
    """Raise SettingsError where every process would have a SQLite database of its own, or none that lasts."""
    file = url.database
    if not file or ":memory:" in file or "memory" in url.query.get("mode", "") or "mode=memory" in file:
        raise SettingsError(
            f"{VARIABLE}: this SQLite database is in memory, and ends with the process: what is registered in it is "
            "lost. Name a file: sqlite:////absolute/path/catalog.db"
        )
    if not file.removeprefix("file:").startswith("/"):
        raise SettingsError(
            f"{VARIABLE}: the path {file!r} is relative, and each process has a working folder of its own. Write it "
            f"with four slashes: sqlite:///{Path(file.removeprefix('file:')).absolute()}"
        )


def describe(catalog: str) -> str:
    """The catalog's kind, name and host, for a person to read; without user and password.

    >>> describe("postgresql+psycopg://user:secret@db:5433/features")
    'postgresql database features on db:5433'
    >>> describe("http://user:secret@rest:8181/catalog")
    'REST catalog http://rest:8181/catalog'
    """
    if is_rest(catalog):
        try:
            parts = urlsplit(catalog)
            # Raises where it is no number: a password with a / or a ? would be taken for the host.
            _ = parts.port
        except ValueError as error:  # such as a [ without its ], or a letter that stands for an / in the host
            quotes = "'" in str(error)  # a part of the URL, in which the password may be
            why = "its host or port holds what none has (in a password write / as %2F, ? as %3F)" if quotes else error
            raise SettingsError(f"{VARIABLE}: not a URL of a REST catalog: {why}") from None
        return f"REST catalog {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    url = sql_url(catalog)
    host = f" on {url.host}{f':{url.port}' if url.port else ''}" if url.host else ""
    return f"{url.get_backend_name()} database {url.database}{host}"


def sqlite_file(catalog: str) -> Path | None:
    """The file of a SQLite catalog; None for any other, and for one with a URI of SQLite's own. Raises SettingsError.

    >>> sqlite_file("sqlite:////lake/catalog.db?timeout=60"), sqlite_file("http://rest:8181")
    (PosixPath('/lake/catalog.db'), None)
    """
    url = None if is_rest(catalog) else sql_url(catalog)
    if not url or url.get_backend_name() != "sqlite" or not url.database or url.database.startswith("file:"):
        return None
    return Path(url.database).absolute()


def exists(catalog: str) -> bool:
    """False for a SQLite file that nobody has made yet: opening it would make it."""
    file = sqlite_file(catalog)
    return file is None or file.exists()


def properties(catalog: str, warehouse: str) -> dict[str, str]:
    """pyiceberg's properties of the catalog. Raises SettingsError; requests' errors where a REST server is silent.

    A REST catalog gets no warehouse: most servers take it for a name of their own, and each table has a location.
    """
    if is_rest(catalog):
        # pyiceberg has no timeout, so a silent server is found here. A refusal is reported by its later requests.
        requests.head(catalog, timeout=(CONNECT_SECONDS, ANSWER_SECONDS), allow_redirects=False)
        return {"type": "rest", "uri": catalog}
    url = sql_url(catalog)
    if url.get_backend_name() == "postgresql" and "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": str(CONNECT_SECONDS)})
    return {"type": "sql", "uri": url.render_as_string(hide_password=False), "warehouse": warehouse}


@contextlib.contextmanager
def readable_errors(catalog: str) -> Iterator[None]:
    """Translate drivers' errors into SettingsError, CatalogRefused (a retry will not help) or CatalogError (it may)."""
    try:
        yield
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None) or ""
        primary = getattr(getattr(error.orig, "diag", None), "message_primary", None)  # without the SQL statement
        message = _message(primary or error.orig, catalog)
        final = state.startswith(FINAL_STATES) or (not state and any(text in message for text in FINAL_MESSAGES))
        remedy = next((f"; {remedy}" for text, remedy in REMEDIES.items() if text in message), "")
        raise (CatalogRefused if final else CatalogError)(f"{describe(catalog)}: {message}{remedy}") from None
    except SQLAlchemyError as error:  # such as a connection that the pool did not get in time
        raise CatalogError(f"{describe(catalog)}: {type(error).__name__}: {_message(error, catalog)}") from None
    except (ServerError, ServiceUnavailableError, TooManyRequestsError) as error:
        raise CatalogError(f"{describe(catalog)}: {_message(error, catalog)}") from None
    except RESTError as error:
        raise CatalogRefused(f"{describe(catalog)}: {type(error).__name__}: {_message(error, catalog)}") from None
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema):
        raise SettingsError(f"{VARIABLE}: not a URL of a REST catalog: {describe(catalog)}") from None
    except requests.exceptions.JSONDecodeError:
        raise CatalogRefused(f"{describe(catalog)}: the server there is not a REST catalog") from None
    except requests.exceptions.RequestException as error:
        raise CatalogError(f"{describe(catalog)}: no answer ({type(error).__name__})") from None
    except ValueError:
        if not is_rest(catalog):
            raise
        raise CatalogRefused(f"{describe(catalog)}: the server there is not a REST catalog") from None


def _message(error: object, catalog: str) -> str:
    """The error's message on one line, without the catalog's password."""
    text = " ".join(str(error).split())
    password = urlsplit(catalog).password if is_rest(catalog) else sql_url(catalog).password
    if password:
        text = text.replace(str(password), "***")
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"
