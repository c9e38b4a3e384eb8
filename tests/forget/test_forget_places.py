"""Which files below a lake are exports that hold a forgotten image, and which are somebody's own."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures.errors import ParamsError
from imagefeatures.forget import pending, places, wanted, work
from imagefeatures.forget.places import Exports
from imagefeatures.forget.wanted import Needles
from imagefeatures.run_params import ForgetParams
from imagefeatures.settings import Settings
from imagefeatures.storage import local_reading
from support.forgetting import request
from support.redriving import small_partition

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


SHORT = "https://h/photo/1"
LONG = ["https://h/photo/12", "https://h/photo/1.jpg", "https://h/photo/1/2", "https://h/photo/1?size=2"]


def written(folder: Path, suffix: str, uris: list[str]) -> str:
    """Write an export of URIs. Returns its name."""
    file, table = folder / f"x{suffix}", pa.table({"uri": uris})
    if suffix == ".parquet":
        pq.write_table(table, file, compression="none", use_dictionary=False)
    elif suffix == ".arrow":
        with pa.ipc.new_file(file, table.schema) as sink:
            sink.write_table(table)
    elif suffix == ".npz":
        np.savez(file, uris=np.array(uris))
    else:
        lines = {".csv": (f'"{uri}",1' for uri in uris), ".json": map(json.dumps, uris)}
        file.write_text("\n".join(lines[suffix]))
    return file.name


@pytest.mark.parametrize("part", [8, 1 << 20])
@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet", ".arrow"])
def test_an_export_of_uris_that_only_begin_as_a_forgotten_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, part: int
) -> None:
    monkeypatch.setattr(wanted, "PART", part)
    monkeypatch.setattr(wanted, "AFTER", 24)
    needles = Needles([], [SHORT])
    written(tmp_path, suffix, LONG)
    assert found(tmp_path, needles) == Exports([], [], [])
    name = written(tmp_path, suffix, [*LONG, SHORT, *LONG])
    assert found(tmp_path, needles) == Exports([name], [], [])


def test_where_nothing_tells_the_end_of_a_uri_an_export_too_many_goes(tmp_path: Path) -> None:
    name = written(tmp_path, ".npz", LONG)
    assert found(tmp_path, Needles([], [SHORT])) == Exports([name], [], [])


@pytest.mark.parametrize("text", [f"see {SHORT}.", f"({SHORT})", f"{SHORT}, and", f"<a href='{SHORT}'>"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_text_that_mentions_a_uri_is_found(tmp_path: Path, text: str, nested: bool) -> None:
    column = [{"notes": [text]}, None] if nested else [text, None]
    for suffix in (".parquet", ".arrow"):
        table = pa.table({"about": column, "lists": [None, [1.0]], "numbers": [1, 2]})
        if suffix == ".parquet":
            pq.write_table(table, tmp_path / "x.parquet", compression="none")
        else:
            with pa.ipc.new_file(tmp_path / "x.arrow", table.schema) as sink:
                sink.write_table(table)
    assert sorted(found(tmp_path, Needles([], [SHORT])).holding) == ["x.arrow", "x.parquet"]
    assert found(tmp_path, Needles([], [SHORT[:-4]])) == Exports([], [], [])


def test_what_a_file_says_of_itself_is_searched_too(tmp_path: Path) -> None:
    table = pa.table({"a": [1]}).replace_schema_metadata({"source": json.dumps([SHORT])})
    pq.write_table(table, tmp_path / "x.parquet")
    assert found(tmp_path, Needles([], [SHORT])).holding == ["x.parquet"]


def test_an_export_of_a_uri_that_has_left_all_tables_goes(settings: Settings) -> None:
    lake = Path(settings.lake.removeprefix("file://"))
    (lake / "exports").mkdir()
    export = f"{settings.lake}/exports/{written(lake / 'exports', '.csv', [SHORT])}"
    (report,) = work.forget(request([], image_ids=None, uris=[SHORT]), "ada", settings)
    assert report.exports == {export}
    assert not (lake / "exports" / "x.csv").exists()


def test_what_the_tables_have_said_before_is_still_looked_for_in_the_next_search(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export that was being made while the rows left the tables, and holds vectors alone."""
    partition = small_partition(tmp_path / "photos", settings, limits={"max_rejected": 1})
    (row,) = [row for uri, row in partition.features.items() if uri.endswith("/a.jpg")]
    export = Path(settings.lake.removeprefix("file://")) / "late.npy"
    real, searches = work.publications.finish_interrupted, []

    def between_searches(*given: Any) -> None:
        searches.append(given)
        if len(searches) == 2:
            np.save(export, np.array([row["features"]], np.float32))
        real(*given)

    monkeypatch.setattr(work.publications, "finish_interrupted", between_searches)
    (report,) = work.forget(request([row["image_id"]]), "ada", settings)
    assert len(searches) >= 2
    assert report.exports == {f"file://{export}"}
    assert not export.exists()


def test_a_folder_that_may_not_be_read_is_named_and_stops_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = settings.lake.removeprefix("file://")
    denied = [f"{lake}/lost+found/", f"{lake}/warehouse/features/mine/"]
    for folder in denied:
        Path(folder).mkdir(parents=True)
    real = local_reading._children

    def children(path: str, root: str | None) -> Iterable[Any]:
        if path in denied:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, root)

    monkeypatch.setattr(local_reading, "_children", children)
    (report,) = work.forget(request(["f" * 64]), "ada", settings)
    assert report.unreadable == {f"file://{folder}" for folder in denied}
    assert list(pending.all_of(settings.lake)) == []


@pytest.mark.parametrize("field", ["image_ids", "uris"])
def test_a_request_has_a_bounded_number_of_images(field: str) -> None:
    many = [f"{at:064x}" for at in range(1001)]
    assert len(getattr(ForgetParams.parse({field: many[:1000], "why": "asked"}), field)) == 1000
    with pytest.raises(ParamsError, match=rf"^{field}: must have at most 1,000 lines \(got 1,001\); make several"):
        ForgetParams.parse({field: many, "why": "asked"})
