"""Whatever an operation on a table raises becomes one line: of which table, what is wrong, and what is to be done."""

from __future__ import annotations

import errno
import os

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NoSuchTableError,
    ServerError,
    TableAlreadyExistsError,
    ValidationException,
)
from pyiceberg.table import Table

from imagefeatures import storage
from imagefeatures.catalog import connect, failures, tables
from imagefeatures.errors import CatalogError, CatalogRefused, InputError, StoreError, StoreRefused
from imagefeatures.settings import Settings

REST = "http://user:secret@rest:8181/catalog"
RACED = (CatalogError, "features.photos: other runs commit to it over and over; try again")


def told(error: BaseException, catalog: str = "sqlite:////lake/catalog.db") -> tuple[type[BaseException], str]:
    """What becomes of an error: the class and the line."""
    with pytest.raises(BaseException) as raised, failures.readable("features.photos", catalog, "do this"):
        raise error
    return raised.type, str(raised.value)


@pytest.mark.parametrize("error", [CommitFailedException("raced"), ValidationException("raced")])
def test_a_commit_that_lost_every_race_may_be_tried_again(error: Exception) -> None:
    assert told(error) == RACED


@pytest.mark.parametrize("catalog", [REST, "sqlite:////lake/catalog.db"])
def test_a_commit_of_which_nobody_knows_whether_it_was_made_may_be_tried_again(catalog: str) -> None:
    said = "features.photos: nobody knows whether the commit was made (bad gateway); try again"
    assert told(CommitStateUnknownException("bad\ngateway"), catalog) == (CatalogError, said)


def test_what_the_catalogs_driver_raises_is_the_catalogs() -> None:
    assert told(ServerError("busy"), REST) == (CatalogError, "REST catalog http://rest:8181/catalog: busy")


@pytest.mark.parametrize(
    "error",
    [
        InputError("ours"),
        NoSuchTableError("none"),
        TableAlreadyExistsError("there"),
        MemoryError("of this machine"),
        ImportError("of this machine"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_told_already_and_what_is_of_no_table_passes(error: Exception) -> None:
    assert told(error) == (type(error), str(error))


@pytest.mark.parametrize("error", [FileNotFoundError("a.avro"), storage.ObjectMissing("a.avro")])
def test_a_file_that_is_gone_is_named_with_the_remedy(error: Exception) -> None:
    assert told(error) == (CatalogRefused, "features.photos: a file of it is missing (a.avro); do this")


def test_bytes_of_which_nothing_can_be_made_are_told_with_their_errors_kind_and_the_remedy() -> None:
    said = "features.photos: a file of it cannot be read (ValueError: no magic); do this"
    assert told(ValueError("no\n  magic")) == (CatalogRefused, said)


def of_system(number: int) -> OSError:
    return OSError(number, os.strerror(number), "/lake/a")


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (of_system(errno.ENOSPC), StoreError, "no space left for a file of it ({}); free some space there, then try "
         "again"),
        (of_system(errno.EDQUOT), StoreError, "no space left for a file of it ({}); free some space there, then try "
         "again"),
        (of_system(errno.EACCES), StoreRefused, "no permission for a file of it ({}); give this process the right to "
         "it"),
        (OSError("AWS Error ACCESS_DENIED"), StoreRefused, "no permission for a file of it ({}); give this process the "
         "right to it"),
        (of_system(errno.EROFS), StoreRefused, "its folder takes no writes ({}); mount it for writing"),
        (OSError("not a Parquet file"), CatalogRefused, "a file of it cannot be read ({}); do this"),
        (OSError("AWS Error SLOW_DOWN"), StoreError, "a file of it cannot be reached now ({}); try again, or examine "
         "the store"),
        (of_system(errno.EIO), StoreError, "a file of it cannot be reached now ({}); try again, or examine the store"),
    ],
    ids=["full", "quota", "denied", "denied by the store", "read only", "damaged", "busy store", "broken disk"],
)  # fmt: skip
def test_what_a_store_says_is_told_with_what_is_to_be_done(error: OSError, kind: type[Exception], said: str) -> None:
    assert told(error) == (kind, f"features.photos: {said.format(error)}")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a  b\n\tc", "a b c"),
        ("of the store. Detail: io.cc:12 Detail: more", "of the store."),
        ("x" * 300, "x" * 300),
        ("x" * 301, "x" * 300),
        ("bell \a", "bell \\x07"),
    ],
)
def test_an_errors_own_text_is_one_line_of_at_most_300_characters_without_its_source(text: str, line: str) -> None:
    assert failures.line(ValueError(text)) == line


def test_a_stream_of_rows_is_told_as_its_table() -> None:
    def rows() -> object:
        yield 1
        raise FileNotFoundError("a.parquet")

    stream = failures.each(rows(), "features.photos", REST, "do this")  # type: ignore[arg-type]
    assert next(stream) == 1
    with pytest.raises(CatalogRefused, match=r"^features\.photos: a file of it is missing \(a\.parquet\); do this$"):
        next(stream)


@failures.in_one_line
def fails(what: object, name: str, *, more: object = None) -> None:
    raise FileNotFoundError(name)


@failures.in_one_line
def is_done(catalog: Catalog, *, more: int) -> int:
    return more + 1


@pytest.fixture
def table(settings: Settings) -> Table:
    return tables.open_table(tables.open_catalog(settings), settings, "photos")


def test_an_operation_is_told_as_the_table_among_its_arguments_or_else_as_the_catalog(table: Table) -> None:
    place = connect.describe(table.catalog.properties["uri"])
    assert place.startswith("sqlite database /")
    told_as_the_table = r"^features\.photos: a file of it is missing \(a\); "
    for call in (
        lambda: fails(table, "a"),
        lambda: fails("first", "a", more=table),
        lambda: fails({"photos": table}, "a"),
        lambda: fails(table.catalog, "a", more=table),
    ):
        with pytest.raises(CatalogRefused, match=told_as_the_table):
            call()
    with pytest.raises(CatalogRefused, match=rf"^{place}: a file of it is missing \(a\); "):
        fails(table.catalog, "a")
    assert is_done(table.catalog, more=1) == 2


def test_an_operations_error_of_a_driver_is_told_without_the_catalogs_password(table: Table) -> None:
    @failures.in_one_line
    def asks(_: Table) -> None:
        raise ServerError("no secret here")

    table.catalog.properties["uri"] = REST
    with pytest.raises(CatalogError, match=r"^REST catalog http://rest:8181/catalog: no \*\*\* here$"):
        asks(table)
