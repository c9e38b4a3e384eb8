"""The data source without a Spark: its options, its schema, what it lists, and its record batches."""

from __future__ import annotations

import doctest
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql.types import BinaryType, IntegerType, LongType, StringType, StructType

from imagefeatures import bitmaps
from imagefeatures.errors import ImageFeaturesError
from imagefeatures.settings import REPOSITORY
from imagefeatures_spark import image_options, image_rows
from imagefeatures_spark.image_source import ImageSource
from support.doors import parquet, tar
from support.photos import encoded, fill, jpeg, picture

FIELDS = {
    "origin": StringType(), "height": IntegerType(), "width": IntegerType(), "nChannels": IntegerType(),
    "mode": IntegerType(), "data": BinaryType(),
}  # fmt: skip
FILES = {
    "red/0.jpg": jpeg(0),
    "red/1.jpg": jpeg(1),
    "blue/2.png": encoded(picture(seed=2), "PNG"),
    "top.png": encoded(picture(seed=3), "PNG"),
    "blue/bad.jpg": b"no picture",
    "_hidden/4.jpg": jpeg(4),
    ".5.jpg": jpeg(5),
    "empty.png": b"",
}
SEEN_BY_SPARK = {"top.png"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("images"), FILES)


def schema(*names: str, image: tuple[str, ...] = tuple(FIELDS)) -> StructType:
    """The columns of that name; `image` with these fields."""
    inner = StructType()
    for name in image:
        inner.add(name, FIELDS[name])
    columns = StructType()
    for name in names:
        columns.add(name, inner if name == "image" else StringType())
    return columns


ALL = schema("image", "uri", "key", "label", "reason", "detail")


def tables(columns: StructType, **options: str) -> list[pa.Table]:
    """What each task gives."""
    reader = ImageSource(options).reader(columns)
    return [
        pa.Table.from_batches(list(reader.read(part)) or [pa.RecordBatch.from_pylist([])])
        for part in reader.partitions()
    ]


def rows(columns: StructType = ALL, **options: str) -> list[dict[str, Any]]:
    return [row for table in tables(columns, **options) for row in table.to_pylist()]


def names(found: list[dict[str, Any]]) -> set[str]:
    return {Path(row["uri"]).name for row in found}


def refused(columns: StructType = ALL, **options: str) -> str:
    with pytest.raises(ImageFeaturesError) as caught:
        source = ImageSource(options)
        source.schema()
        source.reader(columns).partitions()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_by_our_rules_every_file_is_a_row_and_a_bad_one_a_null_with_its_reason(folder: Path) -> None:
    found = {Path(row["uri"]).name: row for row in rows(path=str(folder))}
    assert found.keys() == {Path(name).name for name in FILES}
    good, bad, empty = found["2.png"], found["bad.jpg"], found["empty.png"]
    assert good["image"]["origin"] == good["uri"] == f"file://{folder}/blue/2.png"
    size = ("height", "width", "nChannels", "mode")
    assert tuple(good["image"][name] for name in size) == (48, 64, 3, 16)
    assert good["image"]["data"] == picture(seed=2)[..., ::-1].tobytes()
    assert (good["reason"], good["detail"], good["label"]) == (None, None, None)
    assert (bad["image"], bad["reason"]) == (None, "UNSUPPORTED_FORMAT")
    assert "found text" in bad["detail"]
    assert (empty["image"], empty["reason"]) == (None, "EMPTY_OBJECT")


def test_raw_lists_what_spark_lists_and_has_its_invalid_rows(folder: Path, tmp_path: Path) -> None:
    assert names(rows(path=str(folder), raw="true")) == SEEN_BY_SPARK
    deep = rows(path=str(folder), raw="true", recursiveFileLookup="true")
    assert names(deep) == {"top.png", "0.jpg", "1.jpg", "2.png", "bad.jpg"}
    fill(tmp_path, {f"red/{name}": jpeg(1) for name in ("6.jpg", ".7.jpg", "_old/8.jpg", "_day=1/9.jpg")})
    assert names(rows(path=str(tmp_path), raw="true", recursiveFileLookup="true")) == {"6.jpg", "9.jpg"}
    (bad,) = [row["image"] for row in deep if row["reason"]]
    assert bad == {
        "origin": f"file://{folder}/blue/bad.jpg", "height": -1, "width": -1, "nChannels": -1, "mode": -1, "data": b"",
    }  # fmt: skip


@pytest.mark.parametrize("option", ["dropInvalid", "dropImageFailures", "DROPINVALID"])
def test_invalid_images_are_left_out_by_option(folder: Path, option: str) -> None:
    found = rows(path=str(folder), **{option: "true"})
    assert len(found) == len(FILES) - 2
    assert all(row["image"] for row in found)


def test_names_are_chosen_by_pattern_and_folders_by_depth(folder: Path) -> None:
    assert names(rows(path=str(folder), pathGlobFilter="[01].{jpg,png}")) == {"0.jpg", "1.jpg"}
    assert names(rows(path=str(folder), recursive="false")) == {"top.png", ".5.jpg", "empty.png"}


def test_a_pattern_judges_the_names_of_members_and_of_files_of_rows(tmp_path: Path) -> None:
    whole = tar([("1.jpg", jpeg(1)), ("day/2.jpg", jpeg(2)), ("3.png", b"x")])
    fill(
        tmp_path,
        {
            "tars/a.tar": whole,
            "tars/b.tar": whole[: whole.index(jpeg(2)) + 10],
            "rows/c.parquet": parquet({"image": [jpeg(3)]}),
        },
    )
    tars, rows_of = (f'{{"kind": "{kind}", "uri": "file://{tmp_path}/{folder}/"}}' for kind, folder in (
        ("tar", "tars"), ("parquet_bytes", "rows"),
    ))  # fmt: skip
    found = rows(schema("uri"), source=tars, pathGlobFilter="[12].jpg")
    members = [f"file://{tmp_path}/tars/{name}" for name in ("a.tar#1.jpg", "a.tar#day/2.jpg", "b.tar#1.jpg")]
    assert [row["uri"] for row in found][:3] == members
    assert found[-1]["uri"] == f"file://{tmp_path}/tars/b.tar"  # damaged: what is missing may fit
    assert rows(schema("uri"), source=tars, pathGlobFilter="a*") == found[-1:]
    assert len(rows(schema("uri"), source=rows_of, pathGlobFilter="c.parquet")) == 1
    assert rows(schema("uri"), source=rows_of, pathGlobFilter="*.jpg") == []


def test_the_label_is_the_folder_or_what_an_expression_finds(folder: Path) -> None:
    labels = {Path(row["uri"]).name: row["label"] for row in rows(path=str(folder), label="parent")}
    assert (labels["0.jpg"], labels["2.png"]) == ("red", "blue")
    assert {row["label"] for row in rows(path=str(folder), label=r"/(\d)\.jpg$")} == {"0", "1", "4", None}
    assert ImageSource({"path": "/x", "raw": "true", "label": "parent"}).schema().endswith(">, label string")


def test_a_sample_is_the_same_in_every_query_and_another_one_for_each_seed(folder: Path, tmp_path: Path) -> None:
    fill(tmp_path, {f"{at}.jpg": b"x" for at in range(200)})
    only = schema("uri")
    first, again, other = (
        names(rows(only, path=str(tmp_path), sampleRatio="0.5", seed=seed)) for seed in ("1", "1", "2")
    )
    assert first == again != other
    assert 70 < len(first) < 130
    assert 70 < len(rows(only, path=str(tmp_path), sampleRatio="0.5")) < 130


def test_tasks_are_as_many_as_asked_for_and_otherwise_bounded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, {f"{at}.jpg": bytes(100) for at in range(10)})
    only = schema("uri")
    assert [table.num_rows for table in tables(only, path=str(tmp_path), numPartitions="3")] == [3, 3, 4]
    assert len(tables(only, path=str(tmp_path), numPartitions="99")) == 10
    monkeypatch.setattr(image_rows, "MOST_ROWS", 4)
    assert [table.num_rows for table in tables(only, path=str(tmp_path))] == [4, 4, 2]
    monkeypatch.setattr(image_rows, "MOST_BYTES", 250)
    assert [table.num_rows for table in tables(only, path=str(tmp_path))] == [2, 2, 2, 2, 2]


def test_columns_come_in_the_order_of_the_schema_and_in_its_types(folder: Path) -> None:
    asked = schema("label", "image", "uri", image=("width", "origin"))
    (table,) = tables(asked, path=str(folder), pathGlobFilter="0.jpg")
    image = pa.struct([("width", pa.int32()), ("origin", pa.string())])
    assert table.schema == pa.schema([("label", pa.string()), ("image", image), ("uri", pa.string())])
    assert table.to_pylist()[0]["image"]["width"] == 64


def test_only_pixels_are_decoded_for_and_only_headers_are_fetched_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(bitmaps, "_decoder", never)
    assert "data" not in ImageSource({"path": "/x", "metadataOnly": "true"}).schema()
    headers = schema("image", "reason", image=("origin", "height", "width"))
    found = rows(headers, path=str(folder), metadataOnly="true")
    assert len(found) == len(rows(headers, path=str(folder))) == len(FILES)
    assert sum(row["image"] is not None and row["image"]["width"] == 64 for row in found) == len(FILES) - 2
    monkeypatch.setattr(image_rows, "fetch_rows", never)
    assert len(rows(schema("uri", "label"), path=str(folder), label="parent")) == len(FILES)
    with pytest.raises(AssertionError):
        rows(schema("reason"), path=str(folder))


def test_a_dataset_is_read_by_its_name_or_its_file_with_its_rules(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "photos.yaml"
    text = {"name": "photos", "source": f"{folder.parent}/{{partition}}/", "pattern": ["*.png"]}
    file.write_text(json.dumps(text | {"limits": {"formats": ["PNG"]}}))
    monkeypatch.setenv("IMAGEFEATURES_DATASETS", str(tmp_path))
    for dataset in ("photos", str(file)):
        found = rows(dataset=dataset, partition=folder.name)
        assert names(found) == {"2.png", "top.png", "empty.png"}
        assert {row["label"] for row in found} == {"blue", folder.name}
    assert {row["label"] for row in rows(dataset="photos", partition=folder.name, label="none")} == {None}
    assert "partition: is required" in refused(dataset="photos")


def test_a_source_of_another_kind_is_read_with_its_repeats_once(folder: Path, tmp_path: Path) -> None:
    uri = f"file://{folder}/top.png"
    (tmp_path / "list.txt").write_text(f"{uri}\n{uri}\nfile://{folder}/gone.png\n")
    found = rows(source=json.dumps({"kind": "uri_list", "uri": f"file://{tmp_path}/list.txt"}))
    assert {Path(row["uri"]).name: row["reason"] for row in found} == {"top.png": None, "gone.png": "NOT_FOUND"}
    assert len(found) == 2


def test_several_paths_and_hadoops_form_of_a_path_are_read(folder: Path) -> None:
    only = schema("uri")
    paths = json.dumps([f"file:{folder}/red", f"{folder}/blue/"])
    assert names(rows(only, paths=paths)) == {"0.jpg", "1.jpg", "2.png", "bad.jpg"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "imagefeatures.images: path: is required"),
        ({"path": "/x", "dropInvlid": "true"}, "dropInvlid: is no option; did you mean dropInvalid?"),
        ({"path": "/x", "raw": "yes"}, "raw: must be true or false (got 'yes')"),
        ({"path": "/x", "numPartitions": "0"}, "numPartitions: must be a whole number from 1 (got '0')"),
        ({"path": "/x", "seed": "a"}, "seed: must be a whole number (got 'a')"),
        ({"path": "/x", "sampleRatio": "2"}, "sampleRatio: must be at most 1"),
        ({"path": "/x", "source": "/y"}, "source: says the same as path; leave one of them out"),
        ({"path": "/x", "pathGlobFilter": "a/*.jpg"}, "pathGlobFilter: is a pattern for names, without a slash"),
        ({"path": "/x", "limits": "{max_pixels: 0}"}, "limits.max_pixels: must be at least 1"),
        ({"path": "/x", "limits": "{"}, "limits: is neither JSON nor YAML"),
        ({"source": "{kind: tape}"}, "source: "),
        ({"paths": "[]"}, "path: is required: the list is empty"),
        ({"path": "/no/such/folder"}, "there is no folder file:///no/such/folder"),
        (
            {"source": "{kind: uri_list, uri: 'file:///a.txt'}", "recursive": "false"},
            "recursive: is for a folder",
        ),
    ],
    ids=str,
)
def test_a_wrong_option_is_refused_in_one_line(options: dict[str, str], said: str) -> None:
    assert said in refused(**options)


def test_a_column_that_there_is_not_is_refused(folder: Path) -> None:
    path = str(folder)
    assert "there is no column features of type string" in refused(schema("features"), path=path)
    wide = StructType().add("image", StructType().add("width", LongType()))
    assert "there is no column image.width of type bigint" in refused(wide, path=path)
    assert "metadataOnly: the schema asks for image.data" in refused(path=path, metadataOnly="true")


def test_a_task_without_images_is_empty(folder: Path) -> None:
    assert list(ImageSource({"path": "/x"}).reader(ALL).read(None)) == []


def test_what_every_spark_session_imports_is_light() -> None:
    program = "import sys, pyspark_imagefeatures_images as module; print(module.DefaultSource.name(), *sys.modules)"
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "jobs")])
    env = os.environ | {"PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    name, *loaded = done.stdout.split()
    assert name == "imagefeatures.images"
    assert not {"imagefeatures.sources", "pydantic", "PIL", "yaml", "boto3"} & set(loaded)


@pytest.mark.parametrize("module", [image_options, image_rows])
def test_the_examples_in_its_docstrings_are_true(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_an_origin_has_signs_of_other_alphabets_as_java_leaves_them() -> None:
    """Java escapes blanks and control characters; joiners of emoji, soft hyphens and private signs stay."""
    found = image_rows._as_java("file:///👩\u200d🔬\u00ad\ue000\u00a0\u3000\u2028\u2029\u0085\x7f.png")
    assert found == "file:///👩\u200d🔬\u00ad\ue000%C2%A0%E3%80%80%E2%80%A8%E2%80%A9%C2%85%7F.png"
