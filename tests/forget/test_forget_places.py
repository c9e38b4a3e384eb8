"""Which files below a lake are exports that hold a forgotten image, and which are somebody's own."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures.errors import ParamsError
from imagefeatures.forget import places
from imagefeatures.forget.places import Exports
from imagefeatures.forget.wanted import Needles
from imagefeatures.run_params import ForgetParams

IMAGE = 64 * "a"
URI = 'file:///photos/a "quoted" é.jpg'


@pytest.fixture
def needles() -> Needles:
    found = Needles([IMAGE])
    found.add(pa.table({"uri": [URI], "features": [[1.0, 2.0]]}))
    return found


def found(lake: Path, needles: Needles) -> Exports:
    uris = places.exports(f"file://{lake}", needles)
    return Exports(*([uri.removeprefix(f"file://{lake}/") for uri in of_kind] for of_kind in uris))


@pytest.mark.parametrize(
    "listed", ["[]", "{", json.dumps([{"data": "a"}]), json.dumps({"files": ["notes.txt"]}), json.dumps({"files": 7})]
)
@pytest.mark.parametrize("folder", ["annotations", "."])
def test_a_folder_that_is_no_export_is_named_and_not_deleted(
    tmp_path: Path, needles: Needles, listed: str, folder: str
) -> None:
    own = tmp_path / folder
    own.mkdir(exist_ok=True)
    (own / "export.json").write_text(listed)
    (own / "notes.txt").write_text(f"see {URI}")
    (own / "thesis.odt").write_text("of somebody")
    holding, foreign, _ = found(tmp_path, needles)
    assert holding == []
    assert f"{folder}/notes.txt".removeprefix("./") in foreign


def test_a_folder_that_is_an_export_is_one(tmp_path: Path, needles: Needles) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    (folder / "export.json").write_text(json.dumps({"files": ["a.tar", "b.tar"]}))
    (folder / "a.tar").write_text("nothing")
    (folder / "b.tar").write_text(IMAGE)
    assert found(tmp_path, needles) == Exports(["shards/"], [], [])


def test_what_was_written_with_an_export_goes_with_it(tmp_path: Path, needles: Needles) -> None:
    for name in ("x.npy", "x.npy.pca.npz", "y.npy", "y.parquet", "z.npy", "z.npy.pca.npz"):
        (tmp_path / name).write_text("numbers")
    pq.write_table(pa.table({"image_id": [IMAGE]}), tmp_path / "x.parquet")
    assert sorted(found(tmp_path, needles).holding) == ["x.npy", "x.npy.pca.npz", "x.parquet"]


@pytest.mark.parametrize(
    "written",
    ['"file:///photos/a ""quoted"" é.jpg",1', json.dumps({"uri": URI}), json.dumps({"uri": URI}, ensure_ascii=False)],
)
def test_a_uri_is_found_as_csv_and_json_write_it(tmp_path: Path, needles: Needles, written: str) -> None:
    (tmp_path / "x.csv").write_text(f"uri,f0\n{written}\n")
    assert found(tmp_path, needles).holding == ["x.csv"]


@pytest.mark.parametrize("field", ["image_ids", "uris"])
def test_a_request_has_a_bounded_number_of_images(field: str) -> None:
    many = [f"{at:064x}" for at in range(1001)]
    assert len(getattr(ForgetParams.parse({field: many[:1000], "why": "asked"}), field)) == 1000
    with pytest.raises(ParamsError, match=rf"^{field}: must have at most 1,000 lines \(got 1,001\); make several"):
        ForgetParams.parse({field: many, "why": "asked"})
