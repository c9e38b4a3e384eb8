"""How to reach the Iceberg catalog, and one line that says why it cannot be reached.

Drivers speak in tracebacks that quote the URL, or in several lines; what leaves here names the place (kind, database,
host) and never the password.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import requests
from pyiceberg.exceptions import RESTError, ServerError, ServiceUnavailableError, TooManyRequestsError
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from imagefeatures.errors import CatalogError, CatalogRefused, SettingsError

CONNECT_SECONDS = 10
"""How long a server may take to let us in, before it counts as unreachable."""

ANSWER_SECONDS = 30
"""How long a REST catalog may take over its first answer."""

VARIABLE = "IMAGEFEATURES_CATALOG"
LONGEST = 300

# The answers that another try would not change. libpq gives no code for a connection that failed, only its words; all
# others (starting up, too many clients, no route to it) may pass.
FINAL_WORDS = (
    "authentication failed", "no password supplied", "not permitted to log in", "no pg_hba.conf entry",
    "permission denied", "does not exist", "does not support SSL", "invalid connection option", "invalid sslmode",
    "unable to open database file", "file is not a database", "readonly database",
)  # fmt: skip
FINAL_STATES = ("28", "3D", "42")  # SQLSTATE classes: authorization, no such database, no privilege or wrong SQL


def is_rest(catalog: str) -> bool:
    """Whether the setting names a REST catalog, and not a database.

    >>> is_rest("https://catalog:8181"), is_rest("sqlite:////lake/catalog.db")
    (True, False)
    """
    return catalog.startswith(("http://", "https://"))


def sql_url(catalog: str) -> URL:
    """The setting as SQLAlchemy's URL. Raises SettingsError, which does not quote it: it may hold a password.

    >>> sql_url("postgresql+psycopg://user:p%40ss@db/features").password
    'p@ss'
    """
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
    return url


def describe(catalog: str) -> str:
    """Where the catalog is, for a person; without user and password.

    >>> describe("postgresql+psycopg://user:secret@db:5433/features")
    'postgresql database features on db:5433'
    >>> describe("http://user:secret@rest:8181/catalog")
    'REST catalog http://rest:8181/catalog'
    """
    if is_rest(catalog):
        parts = urlsplit(catalog)
        return f"REST catalog {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    url = sql_url(catalog)
    host = f" on {url.host}{f':{url.port}' if url.port else ''}" if url.host else ""
    return f"{url.get_backend_name()} database {url.database}{host}"


def properties(catalog: str, warehouse: str) -> dict[str, str]:
    """What pyiceberg is to be told of the catalog. Raises SettingsError, or CatalogError for a silent REST server.

    A REST catalog gets no warehouse: to most servers that is a name of their own, and tables say where they lie.
    """
    if is_rest(catalog):
        # pyiceberg itself would wait for ever; who is refused is told so by the requests that follow.
        requests.head(catalog, timeout=(CONNECT_SECONDS, ANSWER_SECONDS), allow_redirects=False)
        return {"type": "rest", "uri": catalog}
    url = sql_url(catalog)
    if url.get_backend_name() == "postgresql" and "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": str(CONNECT_SECONDS)})
    return {"type": "sql", "uri": url.render_as_string(hide_password=False), "warehouse": warehouse}


@contextlib.contextmanager
def readable_errors(catalog: str) -> Iterator[None]:
    """Turn what drivers raise into SettingsError, CatalogRefused (a retry will not help) or CatalogError (it may)."""
    try:
        yield
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None) or ""
        primary = getattr(getattr(error.orig, "diag", None), "message_primary", None)  # without the SQL statement
        words = _line(primary or error.orig, catalog)
        final = state.startswith(FINAL_STATES) or (not state and any(known in words for known in FINAL_WORDS))
        raise (CatalogRefused if final else CatalogError)(f"{describe(catalog)}: {words}") from None
    except (ServerError, ServiceUnavailableError, TooManyRequestsError) as error:
        raise CatalogError(f"{describe(catalog)}: {_line(error, catalog)}") from None
    except RESTError as error:
        raise CatalogRefused(f"{describe(catalog)}: {type(error).__name__}: {_line(error, catalog)}") from None
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema):
        raise SettingsError(f"{VARIABLE}: not a URL of a REST catalog: {describe(catalog)}") from None
    except requests.exceptions.JSONDecodeError:
        raise CatalogRefused(f"{describe(catalog)}: what answers there is no REST catalog") from None
    except requests.exceptions.RequestException as error:
        raise CatalogError(f"{describe(catalog)}: no answer ({type(error).__name__})") from None
    except ValueError:
        if not is_rest(catalog):
            raise
        raise CatalogRefused(f"{describe(catalog)}: what answers there is no REST catalog") from None


def _line(error: object, catalog: str) -> str:
    text = " ".join(str(error).split())
    password = urlsplit(catalog).password if is_rest(catalog) else sql_url(catalog).password
    if password:
        text = text.replace(str(password), "***")
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
