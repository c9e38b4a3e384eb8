"""The field `preprocess`: what is refused and how, its form in run.json, and its part in the fingerprint."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from imagefeatures.datasets import Dataset
from imagefeatures.preprocessing import Preprocessing, declared
from imagefeatures.settings import REPOSITORY
from imagefeatures.wording import one_line
from support import chains
from support.shared import SPEC
from support.snippets import plain, section, sections

PAGE = REPOSITORY / "docs" / "preprocessing.md"
SIZE = {"size": [224, 224]}


def dataset_of(preprocess: Any) -> Dataset:
    return Dataset.model_validate({"name": "d", "source": "s3://b/", "preprocess": preprocess})


def fingerprint(preprocess: Any) -> str:
    return SPEC.fingerprint(declared.settled(dataset_of(preprocess).preprocess, SPEC))


REFUSED: dict[str, tuple[Any, str]] = {
    "a name": ([{"letterbox": {}}], "preprocess.0: there is no transform 'letterbox' (known: alpha, augment, center_"),
    "a slip": (["grayscael"], "preprocess.0: there is no transform 'grayscael' (did you mean grayscale?)"),
    "no name": ([{None: {}}], "preprocess.0: there is no transform None"),
    "two at once": ([{"resize": SIZE, "pad": SIZE}], "preprocess.0: must be one transform, such as {resize: "),
    "none in a mapping": ([{}], "preprocess.0: must be one transform, such as"),
    "a number": ([7], "preprocess.0: must be a mapping of fields"),
    "a number as fields": ([{"resize": 224}], "preprocess.0: resize: must be a mapping of fields, such as"),
    "a text": ("grayscale", "preprocess: must be a list in brackets: [grayscale]"),
    "a mapping": ({"resize": SIZE}, "preprocess: must be a list in brackets"),
    "nothing": ([], "preprocess: must have 1 to 32 transforms"),
    "too many": (["flip"] * 32 + [{"resize": SIZE}], "preprocess: must have 1 to 32 transforms"),
    "no way to resize": (["resize"], "preprocess.0.resize: needs one of size: [height, width], shortest_edge and long"),
    "two ways": ([{"resize": {**SIZE, "longest_edge": 9}}], "preprocess.0.resize: needs one of size: "),
    "a field": ([{"resize": {"shortestedge": 256}}], "shortestedge: unknown field (did you mean shortest_edge?)"),
    "kind as a field": ([{"resize": {"kind": "pad", **SIZE}}], "preprocess.0: resize: must be a mapping of fields"),
    "one side": ([{"center_crop": {"size": 224}}], "preprocess.0.center_crop.size: must be [height, width], each from"),
    "a side of nothing": ([{"pad": {"size": [0, 224]}}], "preprocess.0.pad.size: must be [height, width], each from 1"),
    "a side too long": ([{"resize": {"shortest_edge": 5000}}], "resize.shortest_edge: must be at most 4096"),
    "an offset": (
        [{"crop": {"x": 65_536, "width": 224, "height": 224}}],
        "preprocess.0.crop.x: must be at most 65535",
    ),
    "a truth value": ([{"resize": {"longest_edge": True}}], "longest_edge: must not be true or false"),
    "a filter": (
        [{"resize": {**SIZE, "interpolation": "bicubik"}}],
        "resize.interpolation: must be nearest, box, bilinear, hamming, bicubic or lanczos (did you mean bicubic?)",
    ),
    "a direction": ([{"flip": {"direction": "up"}}], "preprocess.0.flip.direction: must be horizontal or vertical"),
    "a colour": ([{"alpha": {"matte": "withe"}}], "preprocess.0.alpha.matte: must be white, black, [red, green, blue]"),
    "no colour": (["alpha"], "preprocess.0.alpha.matte: is required"),
    "a value": ([{"pad": {**SIZE, "fill": 256}}], "preprocess.0.pad.fill: must be white, black, [red, green, blue] or"),
    "channels": ([{"grayscale": {"channels": 2}}], "preprocess.0.grayscale.channels: must be 1 or 3"),
    "an open end": ([{"resize": {"shortest_edge": 256}}], "preprocess: resize: leaves the shape open: each picture"),
    "only colours": (["grayscale"], "preprocess: grayscale: leaves the shape open"),
    "pad of anything": ([{"pad": SIZE}], "preprocess: pad: the picture may be larger; put resize: {longest_edge: …}"),
    "pad of a strip": ([{"resize": {"shortest_edge": 9}}, {"pad": SIZE}], "preprocess: pad: the picture may be larger"),
    "pad too small": (
        [{"resize": {"longest_edge": 225}}, {"pad": SIZE}],
        "preprocess: pad: 224 × 224 is too small for a picture of 225 pixels a side",
    ),
    "pad too low": (
        [{"resize": {"size": [10, 12]}}, {"pad": {"size": [9, 12]}}],
        "preprocess: pad: 9 × 12 is too small for a picture of 10 × 12",
    ),
    "a colour in grey": (
        [{"resize": {"longest_edge": 9}}, {"grayscale": {"channels": 1}}, {"pad": {**SIZE, "fill": [1, 1, 2]}}],
        "preprocess: pad: fill must be a grey: the picture has one channel",
    ),
    "a crop beyond": (
        [{"resize": {"size": [9, 12]}}, {"crop": {"x": 3, "width": 10, "height": 9}}],
        "preprocess: crop: ends at pixel 13 of a picture that is always 9 × 12",
    ),
    "alpha late": ([{"resize": SIZE}, {"alpha": {"matte": "white"}}], "preprocess: alpha: must be the first transform"),
    "far too large": (
        [{"resize": {"size": [4096, 1]}}, {"resize": {"shortest_edge": 4096}}, {"resize": SIZE}],
        "preprocess: resize: would make 16,777,216 × 4,096 pixels; 67,108,864 is the most",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_mistake_is_one_line_that_names_the_transform_and_the_field(what: str) -> None:
    preprocess, line = REFUSED[what]
    with pytest.raises(ValidationError) as refused:
        dataset_of(preprocess)
    found = one_line(refused.value, Dataset)
    assert line in found
    assert found.count("preprocess") == 1 or what in ("a mapping", "a text")
    assert "\n" not in found and "function" not in found


def test_a_bare_name_is_the_transform_with_its_defaults() -> None:
    short = dataset_of(["grayscale", "flip", {"resize": SIZE}])
    assert short == dataset_of([{"grayscale": {}}, {"flip": None}, {"resize": {**SIZE, "interpolation": "bicubic"}}])


def test_the_dataset_is_written_with_every_default_and_read_again() -> None:
    written = json.loads(dataset_of([*chains.LETTERBOX, "grayscale", {"pad": SIZE}]).model_dump_json())["preprocess"]
    assert written == [
        {"resize": {"size": None, "shortest_edge": None, "longest_edge": 224, "interpolation": "bicubic"}},
        {"pad": {"size": [224, 224], "fill": [124, 116, 104]}},
        {"grayscale": {"channels": None}},
        {"pad": {"size": [224, 224], "fill": [0, 0, 0]}},
    ]
    for preprocess in [None, *chains.FOUR.values(), [{"alpha": {"matte": "white"}}, {"resize": SIZE}]]:
        dataset = dataset_of(preprocess)
        assert Dataset.model_validate_json(dataset.model_dump_json()) == dataset
        chain = declared.settled(dataset.preprocess, SPEC)
        assert Preprocessing.model_validate_json(chain.model_dump_json()) == chain


def test_without_the_field_the_model_has_its_own_chain() -> None:
    assert declared.settled(None, SPEC) == SPEC.preprocessing
    large = SPEC.model_copy(update={"input_shape": (299, 331, 3)})
    assert declared.settled(None, large) == Preprocessing.standard(299, 331)


def test_the_default_chain_written_out_has_the_default_fingerprint() -> None:
    assert fingerprint(chains.STRETCH) == fingerprint(None) == "63e4fab4295764c4c5a908f0aaaec921"


def test_the_fingerprints_of_chains_are_pinned() -> None:
    """If this fails, vectors of declared chains are not found again by their fingerprint."""
    found = {name: fingerprint(preprocess) for name, preprocess in chains.FOUR.items()}
    assert found == {
        "stretch": "63e4fab4295764c4c5a908f0aaaec921",
        "shortest edge and crop": "1a63af246e2562d63d5039150d9da8aa",
        "letterbox": "fe6c806652596c4c7930b209ee49b614",
        "grayscale": "265dd0fad86d0914dbe2c49b0d68e8ea",
    }


def test_everything_that_is_declared_is_in_the_fingerprint_and_so_is_the_order() -> None:
    end = {"resize": SIZE}
    different: list[Any] = [
        [end],
        [{"resize": {**SIZE, "interpolation": "bilinear"}}],
        [{"resize": {"shortest_edge": 256}}, end],
        [{"resize": {"shortest_edge": 255}}, end],
        [{"resize": {"longest_edge": 256}}, end],
        [{"resize": {"size": [256, 255]}}, end],
        [{"center_crop": {"size": [224, 225]}}, end],
        [{"center_crop": {"size": [225, 224]}}, end],
        [{"crop": {"width": 224, "height": 224}}],
        [{"crop": {"x": 1, "width": 224, "height": 224}}],
        [{"crop": {"y": 1, "width": 224, "height": 224}}],
        [{"resize": {"longest_edge": 200}}, {"pad": SIZE}],
        [{"resize": {"longest_edge": 200}}, {"pad": {**SIZE, "fill": 1}}],
        ["flip", end],
        [end, "flip"],
        [end, {"flip": {"direction": "vertical"}}],
        ["grayscale", end],
        [end, "grayscale"],
        [{"alpha": {"matte": "white"}}, end],
        [{"alpha": {"matte": "black"}}, end],
    ]
    assert len({fingerprint(preprocess) for preprocess in different}) == len(different)


def test_a_chain_that_makes_another_input_is_refused_with_both_shapes() -> None:
    one_channel = SPEC.model_copy(update={"name": "ours", "input_shape": (224, 225, 1)})
    for preprocess, spec, line in (
        (
            [{"resize": {"size": [9, 8]}}],
            SPEC,
            "makes 9 × 8 × 3 (…) of a picture, and mobilenet_v2 takes 224 × 224 × 3",
        ),
        (chains.GREY, one_channel, "makes 224 × 224 × 1 (…) of a picture, and ours takes 224 × 225 × 1"),
    ):
        with pytest.raises(ValueError) as refused:
            declared.settled(dataset_of(preprocess).preprocess, spec)
        assert str(refused.value) == line.replace("(…)", "(height × width × channels)")


def test_a_model_of_one_channel_needs_grayscale_and_gets_one_channel() -> None:
    spec = SPEC.model_copy(update={"input_shape": (224, 224, 1)})
    with pytest.raises(ValueError, match=r"makes 224 × 224 × 3 .* takes 224 × 224 × 1$"):
        declared.settled(None, spec)
    assert declared.settled(dataset_of(chains.GREY).preprocess, spec).shape == (224, 224, 1)
    colours = dataset_of([{"resize": {"longest_edge": 9}}, "grayscale", {"pad": {**SIZE, "fill": [1, 1, 2]}}])
    with pytest.raises(ValueError, match="pad: fill must be a grey"):
        declared.settled(colours.preprocess, spec)


def test_the_page_has_every_transform_with_its_fields_and_defaults() -> None:
    (table,) = section(PAGE, "Transforms").tables
    assert [plain(row[0]) for row in table] == list(declared.BY_NAME)
    for name, fields, *rules in table:
        for field, info in declared.BY_NAME[plain(name)].model_fields.items():
            if field != "kind":
                default = "required" if info.is_required() else str(info.default).strip("()")
                assert f"`{field}`" in fields, (name, field)
                assert default in fields or info.default is None, (name, field)
        assert all(rules)


def test_every_chain_on_the_page_is_right_for_the_default_model() -> None:
    blocks = [code for part in sections(PAGE) for _, code in part.blocks if "preprocess:" in code]
    assert len(blocks) >= 4
    for code in blocks:
        assert (
            declared.settled(dataset_of(yaml.safe_load(code)["preprocess"]).preprocess, SPEC).shape == SPEC.input_shape
        )
