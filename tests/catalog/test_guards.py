"""Tables of another lake, of a newer version, or with lost metadata: refused in one line that says both."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import read, schemas
from imagefeatures.catalog import connect, tables
from imagefeatures.datasets import Dataset
from imagefeatures.errors import CatalogRefused
from imagefeatures.plan import plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings, program
from support.publishing import DAY, publish_older_run

Refused = Callable[[Settings], list[str]]


@pytest.fixture
def refused(settings: Settings, tmp_path: Path) -> Refused:
    """refused(settings): the lines in which a plan and two readers refuse; no run is left in the lake."""
    publish_older_run(settings)
    source = tmp_path / "photos"
    source.mkdir()

    def lines(of: Settings) -> list[str]:
        said = []
        dataset = Dataset(name="new", source=f"file://{source}/")
        for use in (
            lambda: plan_run(dataset, RunParams(), DAY, of),
            lambda: read.runs(of),
            lambda: read.table(of, "runs"),
        ):
            with pytest.raises(CatalogRefused) as error:
                use()
            said.append(str(error.value))
            assert "\n" not in said[-1]
        assert not list(Path(of.lake.removeprefix("file://")).rglob("run.json"))
        return said

    return lines


def metadata(settings: Settings) -> Path:
    table = tables.open_catalog(settings).load_table("features.runs")
    return Path(table.metadata_location.removeprefix("file://"))


def changed(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_another_lake_under_the_same_catalog(settings: Settings, refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = dataclasses.replace(settings, lake=f"file://{tmp_path}/other")
    for line in refused(other):
        assert line == (
            f"features.runs in {connect.describe(settings.catalog)} lies in {settings.lake}/warehouse/features/runs, "
            f"which is not in this lake, {other.lake}: set IMAGEFEATURES_LAKE to the table's lake, or "
            "IMAGEFEATURES_CATALOG to this lake's catalog; if this lake is a copy, or was moved here, "
            f"`{program()} relocate-lake` makes its tables its own"
        )


def test_a_lake_whose_name_begins_alike_is_another(settings: Settings, refused: Refused) -> None:
    shorter = dataclasses.replace(settings, lake=settings.lake[:-1])
    longer = dataclasses.replace(settings, lake=f"{settings.lake}-2")
    for other in (shorter, longer):
        assert all(other.lake in line and settings.lake in line for line in refused(other))


def test_a_schema_of_a_newer_version(settings: Settings, refused: Refused) -> None:
    newer = str(schemas.VERSION + 1)
    changed(metadata(settings), lambda content: content["properties"].update({"imagefeatures.schema-version": newer}))
    for line in refused(settings):
        assert f"schema version {newer}, of a newer imagefeatures; this one knows" in line
        assert f"versions up to {schemas.VERSION}:" in line


def test_a_table_format_of_a_newer_version(settings: Settings, refused: Refused) -> None:
    changed(metadata(settings), lambda content: content.update({"format-version": 4}))
    for line in refused(settings):
        assert line == "features.runs: it has version 4 of Iceberg's table format, and this version reads up to 3"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda file: file.write_bytes(b""), "cannot be read (0 bytes)"),
        (lambda file: file.write_bytes(file.read_bytes()[:200]), "cannot be read (200 bytes)"),
        (lambda file: file.write_bytes(bytes(300)), "cannot be read (300 bytes)"),
        (lambda file: file.write_bytes(b"\xff\xfe"), "cannot be read (2 bytes)"),
        (lambda file: file.write_text('{"format-version": 2}'), "does not make sense"),
        (lambda file: file.unlink(), "is missing"),
    ],
)
def test_metadata_that_is_lost(
    settings: Settings, refused: Refused, damage: Callable[[Path], object], said: str
) -> None:
    file = metadata(settings)
    damage(file)
    for line in refused(settings):
        assert line.startswith("features.runs: its metadata, file://")
        assert file.name in line
        assert said in line
        assert line.endswith(f"`{program()} repair` shows what is left of it")


def test_a_new_table_says_which_version_made_it(settings: Settings) -> None:
    table = tables.open_table(tables.open_catalog(settings), settings, "photos")
    assert table.properties["imagefeatures.schema-version"] == str(schemas.VERSION)


def test_a_table_of_spark_with_one_slash_is_of_this_lake(settings: Settings, tmp_path: Path) -> None:
    publish_older_run(settings)
    file = metadata(settings)
    file.write_text(file.read_text().replace("file:///", "file:/"))
    assert len(read.runs(settings)) == 1
