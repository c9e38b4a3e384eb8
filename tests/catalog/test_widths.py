"""A table holds vectors of one width: plan and register refuse another one, in one line."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from imagefeatures import schemas
from imagefeatures.catalog import tables, widths
from imagefeatures.errors import DatasetError
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.steps import register
from support.photos import fill, jpeg
from support.shared import PARTITION, SPEC, MakeRun

TOLD = (
    r"^model: features\.photos holds vectors of 7 values in other partitions, this model gives 1280; give the dataset"
)


def hold(settings: Settings, partition: str, width: int, rows: int = 3) -> None:
    """Put rows of another partition into features.photos."""
    row = {field.name: "x" for field in schemas.FEATURES if field.type == pa.string()}
    row |= {"partition_key": partition, "width": 1, "height": 1, "size": 1, "features": [0.5] * width}
    with tables.open_catalog(settings) as catalog:
        table = tables.open_table(catalog, settings, "photos")
        table.append(pa.Table.from_pylist([row] * rows, schema=schemas.FEATURES))


def test_plan_refuses_a_model_of_another_width_than_other_partitions_have(
    make_run: MakeRun, settings: Settings, tmp_path: Path
) -> None:
    folder = fill(tmp_path / "photos", {"1.jpg": jpeg(1)})
    hold(settings, PARTITION, 7)  # the run replaces these rows
    run = make_run(folder)
    hold(settings, "2026-10-01", 7)
    with pytest.raises(DatasetError, match=TOLD):
        plan_run(run.dataset, RunParams(), PARTITION, settings)
    staged = Path(run.layout.run.removeprefix("file://")).parent
    assert [path.name for path in staged.iterdir()] == [run.run_id]  # what was refused leaves nothing


def test_register_refuses_it_where_another_run_was_published_meanwhile(
    make_run: MakeRun, settings: Settings, tmp_path: Path
) -> None:
    run = make_run(fill(tmp_path / "photos", {"1.jpg": jpeg(1)}))
    hold(settings, "2026-10-01", 7)
    with pytest.raises(DatasetError, match=TOLD):
        register.register(run.layout.run_file, settings)
    assert load_run(run.layout.run_file, settings.lake) == run


def test_the_same_width_and_an_empty_table_are_no_matter(settings: Settings) -> None:
    with tables.open_catalog(settings) as catalog:
        widths.refuse_another_width(catalog, "photos", PARTITION, 5)
        tables.open_table(catalog, settings, "photos")
        widths.refuse_another_width(catalog, "photos", PARTITION, 5)
    hold(settings, "2026-10-01", SPEC.width)
    with tables.open_catalog(settings) as catalog:
        widths.refuse_another_width(catalog, "photos", PARTITION, SPEC.width)
        widths.refuse_another_width(catalog, "photos", "2026-10-01", 5)
