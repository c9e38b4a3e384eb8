"""What the options of `imagefeatures.images` mean, and what the format's columns are by them."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest

from imagefeatures.errors import ParamsError
from imagefeatures.sources import Folder
from imagefeatures_spark import image_options
from imagefeatures_spark.image_options import Options
from imagefeatures_spark.image_source import ImageSource

LIST = json.dumps({"kind": "uri_list", "uri": "file:///list.txt"})


def refusal(options: dict[str, str]) -> str:
    with pytest.raises(ParamsError) as refused:
        Options.parse(options)
    return str(refused.value).removeprefix("imagefeatures.images: ")


def test_without_options_everything_below_the_path_is_read_by_our_rules() -> None:
    found = Options.parse({"path": "/photos"})
    assert found == Options(found.datasets, None, False, False, True, (), False, None, None, False)
    assert [type(flag) for flag in (found.raw, found.metadata_only, found.recursive, found.drop_invalid)] == [bool] * 4
    (dataset,) = found.datasets
    assert found.dataset is dataset
    assert (dataset.name, dataset.label, dataset.sample) == ("images", "none", 1)
    (source,) = found.sources()
    assert isinstance(source, Folder)
    assert source.uri == "file:///photos"


def test_every_option_is_read_whatever_case_its_name_has() -> None:
    given = {
        "PATH": "/photos", "Partition": "p", "raw": "TRUE", "metadataonly": "true", "recursiveFileLookup": "true",
        "pathGlobFilter": "*.jpg", "dropImageFailures": "True", "numPartitions": "1", "seed": "-5", "label": "parent",
        "sampleRatio": "0.5", "limits": "{max_pixels: 7}",
    }  # fmt: skip
    found = Options.parse(given)
    assert found == Options(found.datasets, "p", True, True, True, ("*.jpg",), True, 1, -5, True)
    dataset = found.dataset
    assert (dataset.label, dataset.sample, dataset.limits.max_pixels) == ("parent", 0.5, 7)


@pytest.mark.parametrize(
    ("options", "recursive"),
    [
        ({"path": "/x"}, True),
        ({"path": "/x", "raw": "true"}, False),
        ({"paths": '["/x", "/y"]', "raw": "true"}, False),
        ({"source": "/x", "raw": "true"}, True),
        ({"path": "/x", "recursive": "false"}, False),
        ({"path": "/x", "raw": "true", "recursive": "true"}, True),
        ({"source": LIST}, True),
    ],
)
def test_only_a_raw_path_is_read_without_what_is_below_it(options: dict[str, str], recursive: bool) -> None:
    assert Options.parse(options).recursive is recursive


@pytest.mark.parametrize("group", image_options.ONE_OF)
def test_options_that_say_the_same_are_refused_by_both_names(group: tuple[str, ...]) -> None:
    values = {"path": "/x", "paths": '["/x"]', "dataset": "d", "source": "/x"}
    for first, second in combinations(group, 2):
        given = {"path": "/x"} | {name: values.get(name, "true") for name in (first, second)}
        if group[0] == "path":
            del given["path"]
            given |= {name: values[name] for name in (first, second)}
        assert refusal(given) == f"{second}: says the same as {first}; leave one of them out"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"path": "/x", "zzz": "1"}, "zzz: is no option"),
        ({"path": "/x", "reccursive": "true"}, "reccursive: is no option; did you mean recursive?"),
        ({"source": LIST, "recursive": "false"}, "recursive: is for a folder"),
        ({"path": "/x", "seed": "1" * 19}, f"seed: must be a whole number (got '{'1' * 19}')"),
        ({"path": "/x", "numPartitions": "-1"}, "numPartitions: must be a whole number from 1 (got '-1')"),
        ({"path": "/x", "numPartitions": "1.5"}, "numPartitions: must be a whole number from 1 (got '1.5')"),
        ({"path": "/x", "pathGlobFilter": ""}, "pathGlobFilter: is a pattern for names, without a slash"),
        ({"path": "/x", "dropImageFailures": "1"}, "dropImageFailures: must be true or false (got '1')"),
        ({"source": "{kind: tape}"}, "source: source.kind: must be folder, "),
        ({"source": "7"}, "source: must be a text such as s3://bucket/folder/, or a mapping with uri (got 7)"),
        ({"path": ""}, "path: must not be empty (got '')"),
    ],
)
def test_a_wrong_option_is_told_by_its_name(options: dict[str, str], said: str) -> None:
    found = refusal(options)
    assert found.startswith(said)
    assert not said.endswith("option") or found == said


def test_choices_of_a_pattern_are_written_out() -> None:
    assert Options.parse({"path": "/x", "pathGlobFilter": "{a,b}.{c,d}"}).globs == ("a.c", "a.d", "b.c", "b.d")
    assert Options.parse({"path": "/x", "pathGlobFilter": "a*"}).globs == ("a*",)


def test_paths_are_absolute_or_below_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = json.dumps(["file:/a/b", "photos", "s3://b/c"])
    assert [source.uri for source in Options.parse({"paths": paths}).sources()] == [
        "file:///a/b", f"file://{tmp_path}/photos", "s3://b/c",
    ]  # fmt: skip
    assert Options.parse({"source": LIST}).dataset.source.uri == "file:///list.txt"


@pytest.mark.parametrize("suffix", [".yaml", ".yml"])
def test_a_dataset_is_named_by_its_file_too(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"photos{suffix}"
    file.write_text("name: photos\nsource: s3://b/{partition}/\npattern: ['*.png']\nexclude: ['x*']\nlabel: parent\n")
    for name in (str(file), f"file://{file}"):
        options = Options.parse({"dataset": name, "partition": "day", "sampleRatio": "0.25"})
        (source,) = options.sources()
        assert isinstance(source, Folder)
        assert (source.uri, source.pattern, source.exclude) == ("s3://b/day/", ("*.png",), ("x*",))
        assert (options.dataset.label, options.dataset.sample, options.label) == ("parent", 0.25, False)
    with pytest.raises(ParamsError, match=r"partition: is required: s3://b/\{partition\}/ has one$"):
        list(Options.parse({"dataset": str(file)}).sources())


@pytest.mark.parametrize(
    ("options", "columns"),
    [
        ({}, ", data binary>, uri string, key string, label string, reason string, detail string"),
        ({"metadataOnly": "true"}, ">, uri string, key string, label string, reason string, detail string"),
        ({"raw": "true"}, ", data binary>"),
        ({"raw": "true", "label": "parent"}, ", data binary>, label string"),
        ({"raw": "true", "metadataOnly": "true"}, ">"),
    ],
)
def test_the_columns_are_sparks_own_by_raw_and_else_ours_too(options: dict[str, str], columns: str) -> None:
    assert ImageSource.name() == "imagefeatures.images"
    image = "image struct<origin string, height int, width int, nChannels int, mode int"
    assert ImageSource({"path": "/x", **options}).schema() == image + columns
