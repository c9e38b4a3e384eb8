"""What a partition holds is told where all tables hold one and the same run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog

from imagefeatures import names, schemas
from imagefeatures.catalog import tables
from imagefeatures.catalog.standing import Standing, files, standing
from imagefeatures.errors import CatalogError
from imagefeatures.settings import Settings
from support.growing import rejected_row, run_file
from support.measured import clouds, publish
from support.publishing import DAY, delete_rows

MIXED = "the tables do not hold what run .* published; try again if another run is being published"


@pytest.fixture
def catalog(settings: Settings) -> Iterator[Catalog]:
    with tables.open_catalog(settings) as opened:
        yield opened


def reject(catalog: Catalog, settings: Settings, run_id: str) -> None:
    """A quarantined object of the partition, in place of those that it has."""
    table = tables.open_table(catalog, settings, names.QUARANTINE)
    tables.replace_rows(table, DAY, "photos", rejected_row("photos", run_id), run_id)


def test_a_partition_is_told_with_its_row_its_quarantine_and_its_files(catalog: Catalog, settings: Settings) -> None:
    assert standing(catalog, settings, "photos", DAY) is None
    run_id = publish(settings, DAY, clouds(0, 3), quarantined=1)
    reject(catalog, settings, run_id)
    publish(settings, "2026-11-03", clouds(0, 2))
    found = standing(catalog, settings, "photos", DAY)
    assert isinstance(found, Standing)
    assert (found.row["run_id"], found.row["registered"]) == (run_id, 3)
    assert found.quarantine.schema.equals(schemas.QUARANTINE)
    assert found.quarantine["run_id"].to_pylist() == [run_id]
    ((uri, size),) = found.files.pop("photos")
    assert found.files == {}
    assert f"/partition_key={DAY}/{run_id}-" in uri
    assert size == Path(uri.removeprefix("file://")).stat().st_size
    assert files(catalog.load_table("features.photos"), DAY) == [(uri, size)]


@pytest.mark.parametrize("who", ["nobody", "another", "both"])
def test_a_quarantine_of_another_run_or_of_another_size_is_no_whole(
    who: str, catalog: Catalog, settings: Settings
) -> None:
    run_id = publish(settings, DAY, clouds(0, 3), quarantined=2 if who == "both" else 1)
    if who != "nobody":
        reject(catalog, settings, "another" if who == "another" else run_id)
    with pytest.raises(CatalogError, match=MIXED):
        standing(catalog, settings, "photos", DAY)


def test_files_of_other_rows_than_the_run_has_registered_are_no_whole(catalog: Catalog, settings: Settings) -> None:
    publish(settings, DAY, clouds(0, 3), copies=[clouds(1, 3)])  # of which its row does not tell
    with pytest.raises(CatalogError, match=MIXED):
        standing(catalog, settings, "photos", DAY)


def test_files_of_which_single_rows_were_deleted_are_no_whole(catalog: Catalog, settings: Settings) -> None:
    publish(settings, DAY, clouds(0, 3))
    photos = catalog.load_table("features.photos")
    ((uri, _),) = files(photos, DAY)
    delete_rows(photos, uri, [1])
    with pytest.raises(CatalogError, match=MIXED):
        standing(catalog, settings, "photos", DAY)
    photos.refresh()
    with pytest.raises(CatalogError, match=rf"^features\.photos {DAY}: another program has deleted single rows of it;"):
        files(photos, DAY)


def test_the_first_table_that_is_not_whole_is_enough(catalog: Catalog, settings: Settings) -> None:
    """Of two models: the first has too many rows, the second those of the run."""
    run_id = publish(settings, DAY, clouds(0, 3), copies=[clouds(1, 3)], models=[("resnet50", "f" * 32)])
    table = tables.open_table(catalog, settings, "photos__resnet50")
    tables.replace_files(table, DAY, [run_file(settings, run_id)], run_id)
    with pytest.raises(CatalogError, match=MIXED):
        standing(catalog, settings, "photos", DAY)
