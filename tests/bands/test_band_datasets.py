"""`channels` and `scale` in a dataset file: what they become, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from imagefeatures.datasets import Dataset
from imagefeatures.models.spec import ModelSpec, ValueScale
from imagefeatures.preprocessing import Preprocessing, declared
from imagefeatures.preprocessing.bands import Bands, Channels
from imagefeatures.preprocessing.geometry import Resize
from imagefeatures.wording import one_line
from support.shared import SPEC

MODEL = {"name": "own", "uri": "s3://b/own.onnx"}


def dataset(**fields: Any) -> Dataset:
    return Dataset.model_validate({"name": "d", "source": "s3://b/", **fields})


def refusal(**fields: Any) -> str:
    with pytest.raises(ValidationError) as found:
        dataset(**fields)
    return one_line(found.value, Dataset)


def spec_of(channels: int, dtype: str) -> ModelSpec:
    return SPEC.model_copy(update={"input_shape": (8, 9, channels), "input_type": dtype, "scale": "none"})


def test_three_channels_are_rgb_and_leave_no_trace() -> None:
    assert dataset(channels=3) == dataset()
    assert dataset(channels=3).channels is None
    assert dataset(channels={"count": 3}).channels == Channels(count=3, dtype="uint8", axes="hwc")
    assert dataset(channels=12).channels == Channels(count=12)


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ("none", ValueScale(mean=(0,), std=(1,))),
        (10_000, ValueScale(mean=(0,), std=(10_000,))),
        (255.0, ValueScale(mean=(0,), std=(255,))),
        ({"scale": 0.0001, "mean": 0.5, "std": 0.25}, ValueScale(mean=(5000,), std=(2500,))),
        ({"mean": [1, 2, 3, 4], "std": [5, 6, 7, 8]}, ValueScale(mean=(1, 2, 3, 4), std=(5, 6, 7, 8))),
    ],
)
def test_scale_is_the_normalize_of_the_model(scale: Any, expected: ValueScale) -> None:
    found = dataset(channels=4, scale=scale, model=MODEL)
    model = found.model
    assert not isinstance(model, str)
    given = model.scale
    assert (given if isinstance(given, ValueScale) else ValueScale(mean=(0,), std=(1,))) == expected
    again = Dataset.model_validate_json(found.model_dump_json())  # as run.json holds it
    assert again == found
    assert found.scale is None


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"channels": 0}, "channels: must be a whole number from 1 to 1000, or a mapping with count (got 0)"),
        ({"channels": 1001}, "channels: must be a whole number from 1 to 1000, or a mapping with count (got 1001)"),
        ({"channels": True}, "channels: must not be true or false (got True)"),
        ({"channels": "12"}, "channels: must be a whole number from 1 to 1000, or a mapping with count (got '12')"),
        ({"channels": {"dtype": "uint8"}}, "channels.count: is required"),
        (
            {"channels": {"count": 2, "dtype": "int16"}},
            "channels.dtype: must be uint8, uint16 or float32 (did you mean uint16?) (got 'int16')",
        ),
        (
            {"channels": {"count": 2, "axes": "whc"}},
            "channels.axes: must be hwc or chw (did you mean hwc?) (got 'whc')",
        ),
        ({"channels": {"count": 2, "bands": 3}}, "channels.bands: unknown field"),
        (
            {"scale": 2},
            "scale: is for a model from a file, and mobilenet_v2 has its own; remove it",
        ),
        ({"scale": 0, "model": MODEL}, "scale: must be at least 0.001 (got 0)"),
        (
            {"scale": "half", "model": MODEL},
            "scale: must be none, a number, or a mapping of scale, mean and std (got 'half')",
        ),
        ({"scale": {"std": 0}, "model": MODEL}, "scale.std.0: must be above 0 (got 0)"),
        (
            {"scale": 2, "model": MODEL | {"normalize": "tf"}},
            "model: normalize: scale is set too; remove one of them",
        ),
        (
            {"channels": 4, "scale": {"mean": [1, 2]}, "model": MODEL},
            "model.normalize.mean: must be one number, or one for each of 4 bands",
        ),
        (
            {"channels": 4, "model": MODEL | {"normalize": {"std": [1, 2, 3]}}},
            "model.normalize.std: must be one number, or one for each of 4 bands",
        ),
        ({"scale": {"std": [1, 2]}, "model": MODEL}, "model.normalize.std: must be one number, or three"),
        (
            {"channels": {"count": 3, "dtype": "uint16"}},
            "channels: are of uint16, and mobilenet_v2 takes values of 0 to 255",
        ),
        ({"limits": {"formats": ["JPEG", "NPY"]}}, "limits.formats: NPY is not read without channels"),
        (
            {"channels": 1, "model": MODEL | {"normalize": "tf"}, "limits": {"formats": ["GIF", "PNG"]}},
            "limits.formats: GIF is not read with channels, only TIFF, NPY, PNG, JPEG",
        ),
        (
            {"channels": 4, "preprocess": ["grayscale", {"resize": {"size": [8, 9]}}]},
            "preprocess: grayscale: is for RGB",
        ),
        (
            {"channels": 4, "preprocess": [{"alpha": {"matte": 0}}, {"crop": {"width": 8, "height": 9}}]},
            "preprocess: alp",
        ),
        (
            {
                "channels": 4,
                "preprocess": [{"resize": {"longest_edge": 8}}, {"pad": {"size": [8, 9], "fill": [1, 2, 3]}}],
            },
            "preprocess: pad: fill must be a grey: the picture has 4 channels",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_the_field(fields: dict[str, Any], line: str) -> None:
    assert refusal(**fields).startswith(line)


def test_the_chain_begins_with_the_bands_and_fits_the_model() -> None:
    channels = Channels(count=12, dtype="uint16")
    chain = declared.settled(None, spec_of(12, "uint16"), channels)
    assert chain == Preprocessing(chain=(Bands(channels=channels), Resize(size=(8, 9))))
    assert (chain.shape, chain.dtype, chain.channels) == ((8, 9, 12), "uint16", channels)
    assert Preprocessing.model_validate_json(chain.model_dump_json()) == chain
    with pytest.raises(
        ValueError, match=r"^makes 8 × 9 × 12 \(height × width × channels\) .*, and \w+ takes 8 × 9 × 13$"
    ):
        declared.settled(None, spec_of(13, "uint16"), channels)
    assert declared.settled(None, SPEC, Channels(count=3)).shape == SPEC.input_shape  # of a model by name too
    with pytest.raises(ValueError, match=r"^makes uint16 of a picture, and \w+ was prepared for uint8$"):
        declared.settled(None, spec_of(12, "uint8"), channels)


def test_the_fingerprint_tells_type_axes_and_number_and_stays_for_rgb() -> None:
    assert SPEC.fingerprint(declared.settled(None, SPEC)) == "63e4fab4295764c4c5a908f0aaaec921"
    given = [Channels(count=count, dtype=dtype) for count in (3, 4) for dtype in ("uint8", "uint16", "float32")]
    given.append(Channels(count=3, axes="chw"))
    prints = {
        spec_of(one.count, one.dtype).fingerprint(declared.settled(None, spec_of(one.count, one.dtype), one))
        for one in given
    }
    assert len(prints) == 7
    assert SPEC.fingerprint(SPEC.preprocessing) not in prints


def test_a_shard_has_fewer_images_where_their_pixels_are_large() -> None:
    assert SPEC.preprocessing.shard_images(512) == 512
    small = declared.settled(None, spec_of(12, "uint16"), Channels(count=12, dtype="uint16"))
    assert small.shard_images(512) == 512
    channels = Channels(count=100, dtype="float32")
    large = declared.settled(
        [Resize(size=(224, 224))], spec_of(100, "float32").model_copy(update={"input_shape": (224, 224, 100)}), channels
    )
    assert large.shard_images(512) == 2**28 // (224 * 224 * 100 * 4) == 13
    thousand = Channels(count=1000, dtype="float32")
    chain = Preprocessing(chain=(Bands(channels=thousand), Resize(size=(400, 400))))
    assert chain.shard_images(512) == 1
