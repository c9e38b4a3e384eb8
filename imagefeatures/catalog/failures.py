"""One line for whatever an operation on a table raises: which table or catalog, what is wrong, and the remedy.

pyiceberg, pyarrow and SQLAlchemy raise errors of a hundred kinds, some of them pages long. `readable` is the one place
that knows them. It translates into the errors of this package: CatalogRefused and StoreRefused (a retry will not help),
CatalogError and StoreError (it may). What its callers handle themselves passes: a table that does not exist.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import ParamSpec, TypeVar

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NoSuchTableError,
    TableAlreadyExistsError,
    ValidationException,
)
from pyiceberg.table import Table

from imagefeatures import storage
from imagefeatures.catalog import connect
from imagefeatures.catalog.guards import REPAIR
from imagefeatures.errors import (
    CatalogError,
    CatalogRefused,
    ImageFeaturesError,
    StoreError,
    StoreRefused,
)
from imagefeatures.reasons import printable

DENIED = ("ACCESS_DENIED", "AccessDenied", "Forbidden", "INVALID_ACCESS_KEY", "SIGNATURE_DOES_NOT_MATCH", "403")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

P = ParamSpec("P")
T = TypeVar("T")


@contextlib.contextmanager
def readable(what: str, catalog: str, remedy: str = REPAIR) -> Iterator[None]:
    """Translate what an operation raises. what: the table, or else the catalog. catalog: the setting, or its URL.

    remedy: for a file that is missing or cannot be read.
    """
    try:
        with connect.readable_errors(catalog), _unknown(what):
            yield
    except (ImageFeaturesError, NoSuchTableError, TableAlreadyExistsError):
        raise
    except (CommitFailedException, ValidationException):
        raise CatalogError(f"{what}: other runs commit to it over and over; try again") from None
    except (FileNotFoundError, storage.ObjectMissing) as error:
        raise CatalogRefused(f"{what}: a file of it is missing ({line(error)}); {remedy}") from None
    except OSError as error:
        raise _of_the_store(what, error, remedy) from None
    except (MemoryError, ImportError):  # of this machine, not of a table
        raise
    except Exception as error:  # whatever damaged bytes make pyiceberg or pyarrow raise
        raise CatalogRefused(
            f"{what}: a file of it cannot be read ({type(error).__name__}: {line(error)}); {remedy}"
        ) from error


@contextlib.contextmanager
def _unknown(what: str) -> Iterator[None]:
    """Translate what a REST server's failure at a commit becomes, which is one of pyiceberg's errors of REST too."""
    try:
        yield
    except CommitStateUnknownException as error:
        raise CatalogError(f"{what}: nobody knows whether the commit was made ({line(error)}); try again") from None


def in_one_line(operation: Callable[P, T]) -> Callable[P, T]:
    """Decorates an operation that has a table, several of them, or else a catalog among its arguments."""

    @wraps(operation)
    def translated(*args: P.args, **kwargs: P.kwargs) -> T:
        with readable(*_place([*args, *kwargs.values()])):
            return operation(*args, **kwargs)

    return translated


def each(rows: Iterable[T], what: str, catalog: str, remedy: str = REPAIR) -> Iterator[T]:
    """The items of a stream that reads a table, its errors translated as by `readable`."""
    with readable(what, catalog, remedy):
        yield from rows


def _place(arguments: list[object]) -> tuple[str, str]:
    """What `readable` wants to know, from the arguments of an operation."""
    flat = [inner for one in arguments for inner in (one.values() if isinstance(one, dict) else [one])]
    table = next((one for one in flat if isinstance(one, Table)), None)
    catalog = table.catalog if table else next(one for one in flat if isinstance(one, Catalog))
    url = str(catalog.properties.get("uri"))
    return (".".join(table.name()) if table else connect.describe(url)), url


def _of_the_store(what: str, error: OSError, remedy: str) -> ImageFeaturesError:
    text = line(error)
    if error.errno in NO_ROOM:
        return StoreError(f"{what}: no space left for a file of it ({text}); free some space there, then try again")
    if isinstance(error, PermissionError) or any(word in text for word in DENIED):
        return StoreRefused(f"{what}: no permission for a file of it ({text}); give this process the right to it")
    if error.errno == errno.EROFS:
        return StoreRefused(f"{what}: its folder takes no writes ({text}); mount it for writing")
    if error.errno is None and "AWS Error" not in text:  # pyarrow's, of bytes that it cannot make sense of
        return CatalogRefused(f"{what}: a file of it cannot be read ({text}); {remedy}")
    return StoreError(f"{what}: a file of it cannot be reached now ({text}); try again, or examine the store")


def line(error: object) -> str:
    """The error's own text on one line: pyarrow's has its C++ source in it, which helps nobody."""
    first = str(error).split(" Detail: ")[0]
    return printable(" ".join(first.split()))[:300]
