"""Which partitions a withdrawal takes back; and what is kept of columns that somebody has added."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.types import StringType

from imagefeatures import unpublish
from imagefeatures.catalog import tables
from imagefeatures.errors import ParamsError
from imagefeatures.run_params import UnpublishParams
from imagefeatures.settings import Settings
from support.measured import clouds, publish
from support.redriving import Partition, mend, small_partition, without_run

FIRST, SECOND = "2026-11-01", "2026-11-02"


def test_those_that_are_published_are_asked_for_by_name_or_all_together(settings: Settings) -> None:
    def asked(partition: str | None = None, dataset: str = "photos") -> list[str]:
        return unpublish.partitions(dataset, UnpublishParams(partition=partition, why="x"), settings)

    def refused(partition: str | None = None, dataset: str = "photos") -> str:
        with pytest.raises(ParamsError) as raised:
            asked(partition, dataset)
        return str(raised.value)

    def take_back(partition: str) -> None:
        assert unpublish.withdraw("photos", partition, UnpublishParams(why="x", dry_run=False), "ada", settings)

    for day in (FIRST, SECOND):
        publish(settings, day, clouds(0, 2))
    assert (asked(), asked(SECOND)) == ([FIRST, SECOND], [SECOND])
    assert refused(dataset="nuts") == "DATASET: no partition of 'nuts' is published"
    assert refused("1999-12-24") == f"partition: 1999-12-24 of photos is not published; there are {FIRST}, {SECOND}"
    assert refused("yesterday").startswith("partition: 2")
    take_back(SECOND)
    assert (asked(), asked(FIRST)) == ([FIRST], [FIRST])
    assert asked(SECOND) == []  # it was done before, as when a task is tried again
    take_back(FIRST)
    assert asked() == asked(FIRST) == []
    assert refused("1999-12-24") == refused(dataset="nuts").replace("nuts", "photos")


def add_folds(settings: Settings) -> dict[str, str]:
    """Somebody adds a column with a value for each row, and then gives it another name. Returns the values by URI."""
    table = tables.open_catalog(settings).load_table("features.photos")
    with table.update_schema() as change:
        change.add_column("fold", StringType())
    rows = table.scan().to_arrow()
    folds = {uri: f"fold {uri[-5:]}" for uri in rows["uri"].to_pylist()}
    at = rows.schema.get_field_index("fold")
    table.overwrite(rows.set_column(at, "fold", pa.array([folds[uri] for uri in rows["uri"].to_pylist()])))
    with table.update_schema() as change:
        change.rename_column("fold", "split")
    return folds


def splits(settings: Settings) -> dict[str, str | None]:
    rows = tables.open_catalog(settings).load_table("features.photos").scan().to_arrow()
    return dict(zip(rows["uri"].to_pylist(), rows["split"].to_pylist(), strict=True))


def take_back_one(partition: Partition) -> str:
    """Returns the URI of the object that leaves, or comes."""
    uri = next(iter(partition.features))
    params = UnpublishParams.parse({"why": "x", "dry_run": False, "uris": (uri,)})
    assert unpublish.withdraw("photos", partition.key, params, "ada", partition.settings)
    return uri


def take_again_one(partition: Partition) -> str:
    (uri,) = [uri for uri in partition.quarantine if uri.endswith("/cut.jpg")]
    mend(uri.rpartition(f"/{partition.key}/")[0], "cut.jpg", key=partition.key)
    partition.redrive()
    return uri


@pytest.mark.parametrize("change", [take_back_one, take_again_one])
def test_what_stays_keeps_the_values_of_columns_that_somebody_has_added(
    change: Callable[[Partition], str], settings: Settings, tmp_path: Path
) -> None:
    first, second = (
        small_partition(tmp_path / "photos", settings, day, limits={"max_rejected": 1}) for day in (FIRST, SECOND)
    )
    folds = add_folds(settings)
    assert splits(settings) == folds
    before = without_run(first.features)
    uri = change(second)
    second.check()
    expected = {other: fold for other, fold in folds.items() if other != uri}
    assert splits(settings) == expected | ({uri: None} if uri in second.features else {})
    assert without_run(first.features) == before
