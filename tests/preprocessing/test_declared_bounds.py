"""The bounds of `preprocess` and `channels`: what is just allowed, and what is just refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from imagefeatures.errors import Rejected
from imagefeatures.preprocessing import Preprocessing, Upright, declared
from imagefeatures.preprocessing.augment import Augment
from imagefeatures.preprocessing.bands import MOST_BANDS, Bands, Channels, ChannelsField
from imagefeatures.preprocessing.colour import Alpha, Grayscale
from imagefeatures.preprocessing.declared import PreprocessorConfig, without_model
from imagefeatures.preprocessing.geometry import Flip, Resize
from imagefeatures.preprocessing.shapes import MOST_PIXELS, Colour, Shape, Side, Size, check_work
from imagefeatures.reasons import Reason
from support.shared import SPEC

TWELVE = Channels(count=12, dtype="uint16")
SMALL = Resize(size=(4, 5))
ALPHA = Alpha(matte=(255, 255, 255))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, None),
        (3, None),
        (1, Channels(count=1)),
        (2, Channels(count=2)),
        (MOST_BANDS, Channels(count=MOST_BANDS)),
        ({"count": 3}, Channels(count=3)),
        (TWELVE, TWELVE),
    ],
)
def test_channels_may_be_a_number(given: Any, found: Channels | None) -> None:
    assert TypeAdapter(ChannelsField).validate_python(given) == found


@pytest.mark.parametrize("given", [0, -1, MOST_BANDS + 1, "12", 2.0, [12]])
def test_another_number_of_channels_is_refused(given: Any) -> None:
    with pytest.raises(ValidationError, match="must be a whole number from 1 to 1000, or a mapping with count"):
        TypeAdapter(ChannelsField).validate_python(given)


@pytest.mark.parametrize("count", [0, MOST_BANDS + 1, True])
def test_the_count_of_a_mapping_has_the_same_bounds(count: Any) -> None:
    with pytest.raises(ValidationError, match="count"):
        Channels.model_validate({"count": count})


def test_channels_say_what_they_are() -> None:
    assert (str(Channels(count=1)), str(TWELVE)) == ("1 band of uint8", "12 bands of uint16")
    assert (TWELVE.mode, Channels(count=1).axes) == ("uint16x12", "hwc")
    assert [Channels(count=1, dtype=dtype).item_bytes for dtype in ("uint8", "uint16", "float32")] == [1, 2, 4]
    bands = Bands(channels=TWELVE)
    assert bands.shape(Shape(4, 5)) == Shape(4, 5, 12)
    picture = object()
    assert bands(picture) is picture


def test_so_many_transforms_are_the_most() -> None:
    declared.check([Flip()] * 31 + [SMALL])
    for wrong in ([], [Flip()] * 32 + [SMALL]):
        with pytest.raises(ValueError, match=r"^must have 1 to 32 transforms$"):
            declared.check(wrong)


def test_what_is_for_rgb_is_refused_of_bands() -> None:
    declared.check([SMALL], TWELVE)
    for transform in (ALPHA, Grayscale(), Augment(copies=1, flip="horizontal")):
        with pytest.raises(
            ValueError, match=f"^{transform.kind}: is for RGB, and channels takes the bands as they are"
        ):
            declared.check([transform, SMALL], TWELVE)
    with pytest.raises(ValueError, match="leaves the shape open"):
        declared.check([Flip()], TWELVE)


def test_the_chain_of_bands_ends_in_the_models_input() -> None:
    model = SPEC.model_copy(update={"input_shape": (4, 5, 12), "input_type": "uint16"})
    own = Preprocessing(chain=(Bands(channels=TWELVE), SMALL))
    assert declared.settled(None, model, TWELVE) == declared.settled([SMALL], model, TWELVE) == own
    with pytest.raises(ValueError, match=r"^makes 4 × 5 × 11 \(height × width × channels\) of a picture, and "):
        declared.settled(None, model, Channels(count=11, dtype="uint16"))
    with pytest.raises(ValueError, match=r"^makes uint8 of a picture, and mobilenet_v2 was prepared for uint16$"):
        declared.settled(None, model, Channels(count=12))


def test_without_a_model_the_size_is_the_declared_one_or_the_defaults() -> None:
    assert without_model(None, (4, 5, 3)) == Preprocessing.standard(4, 5)
    assert without_model([Resize(size=(7, 8))], (4, 5, 3)).shape == (7, 8, 3)
    assert without_model([SMALL, Grayscale()], (4, 5, 1)).shape == (4, 5, 3)
    assert without_model(None, (4, 5, 3), TWELVE) == Preprocessing(chain=(Bands(channels=TWELVE), SMALL))
    assert without_model([Resize(size=(7, 8))], (4, 5, 3), TWELVE).shape == (7, 8, 12)


def test_copies_are_counted_of_a_list_alone() -> None:
    config = PreprocessorConfig(preprocessor_config="s3://b/preprocessor_config.json")
    assert [declared.copies(given) for given in (None, config, [], [SMALL])] == [0, 0, 0, 0]
    assert declared.copies([SMALL, Augment(copies=3, flip="horizontal")]) == 3
    assert declared.is_file(config)
    assert declared.is_file({"preprocessor_config": "s3://b/x.json"})
    assert not any(map(declared.is_file, (None, [], {}, "preprocessor_config", {"resize": {}})))


def test_alpha_and_augment_are_there_once_and_in_their_places() -> None:
    chain = declared.settled([ALPHA, Resize(size=(224, 224))], SPEC).chain
    assert (type(chain[0]), chain[1]) == (Upright, ALPHA)
    for wrong in ([ALPHA, ALPHA, SMALL], [SMALL, ALPHA]):
        with pytest.raises(ValueError, match=r"^alpha: must be the first transform, and is there once"):
            declared.check(wrong)
    flip = Augment(copies=1, flip="horizontal")
    with pytest.raises(ValueError, match=r"^augment: is there once; "):
        declared.check([flip, SMALL, flip])
    crop = Augment(copies=1, crop=0.5)
    declared.check([crop, SMALL])
    declared.check([SMALL, flip])
    for wrong in ([SMALL, crop], [crop, Flip(), SMALL]):
        with pytest.raises(
            ValueError, match=r"^augment: crop leaves each copy a size of its own; put a resize after it$"
        ):
            declared.check(wrong)


@pytest.mark.parametrize(
    ("kind", "given", "found"),
    [
        (Side, 1, 1),
        (Side, 4096, 4096),
        (Size, [1, 4096], (1, 4096)),
        (Colour, "white", (255, 255, 255)),
        (Colour, "black", (0, 0, 0)),
        (Colour, 7, (7, 7, 7)),
        (Colour, [0, 128, 255], (0, 128, 255)),
    ],
)
def test_sides_and_colours_at_their_bounds(kind: Any, given: Any, found: Any) -> None:
    assert TypeAdapter(kind).validate_python(given) == found


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (Side, 0, "greater than or equal to 1"),
        (Side, 4097, "less than or equal to 4096"),
        (Side, True, "must not be true or false"),
        (Size, [0, 1], r"must be \[height, width\], each from 1 to 4096"),
        (Size, [1, 2, 3], r"must be \[height, width\], each from 1 to 4096"),
        (Colour, -1, "must be white, black, "),
        (Colour, 256, "must be white, black, "),
        (Colour, [1, 2], "must be white, black, "),
        (Colour, "grey", "must be white, black, "),
        (Colour, True, "must be white, black, "),
    ],
)
def test_sides_and_colours_beyond_them(kind: Any, given: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(kind).validate_python(given)


def test_the_most_pixels_are_those_of_the_picture_on_the_way_too() -> None:
    width = MOST_PIXELS // 4096
    check_work("resize", 4096, width, 4096)
    check_work("resize", 1, width, 4096)
    for height, before in ((4097, 1), (1, 4097)):
        with pytest.raises(Rejected) as raised:
            check_work("resize", height, width, before)
        assert raised.value.reason == Reason.TOO_MANY_PIXELS
        way = f"resize would make {height:,} × {width:,} pixels of it, by way of {before:,} × {width:,}"
        assert raised.value.detail == f"{way}; 67,108,864 is the most"
