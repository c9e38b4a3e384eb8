"""The limits of an object: what they are by default, how far they may go, and which formats there are."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from imagefeatures.limits import BAND_FORMATS, FORMATS, Limits
from imagefeatures.wording import one_line

MIB = 1 << 20


@pytest.mark.parametrize(
    ("field", "default", "least", "most", "less"),
    [
        ("max_bytes", 32 * MIB, 1, 2048 * MIB, 0),
        ("max_pixels", 50_000_000, 1, 2048 * MIB, 0),
        ("max_rejected", 0.05, 0, 1, -0.01),
        ("decode_seconds", 10, 0.1, 600, 0.09),
        ("max_metadata_bytes", 16 * MIB, 1, 1024 * MIB, 0),
        ("max_profile_bytes", MIB, 1, 1024 * MIB, 0),
    ],
)
def test_each_limit_has_a_default_and_bounds(
    field: str, default: float, least: float, most: float, less: float
) -> None:
    assert getattr(Limits(), field) == default
    for value in (least, most):
        assert getattr(Limits.model_validate({field: value}), field) == value
    for value, says in ((less, f"must be at least {least}"), (most + 1, f"must be at most {most}")):
        with pytest.raises(ValidationError) as refused:
            Limits.model_validate({field: value})
        assert one_line(refused.value) == f"{field}: {says} (got {value})"


def test_formats_are_some_of_those_with_a_decoder() -> None:
    assert Limits().formats == FORMATS
    assert Limits(formats=("PNG",)).formats == ("PNG",)
    assert Limits(formats=("NPY", "JPEG2000")).formats == ("NPY", "JPEG2000")
    for formats, says in (([], "must not be empty"), (["PNG", "XPM", "EPS"], "there is no decoder for EPS (known: ")):
        with pytest.raises(ValidationError) as refused:
            Limits.model_validate({"formats": formats})
        assert one_line(refused.value).startswith(f"formats: {says}")


@pytest.mark.parametrize(
    ("formats", "bands", "says"),
    [
        (FORMATS, False, ""),
        (FORMATS, True, ""),
        (FORMATS[:8], False, ""),
        (BAND_FORMATS, True, ""),
        (("PNG", "NPY"), False, "limits.formats: NPY is not read without channels (got ['PNG', 'NPY'])"),
        (
            ("WEBP", "PNG", "GIF"),
            True,
            "limits.formats: GIF is not read with channels, only TIFF, NPY, PNG, JPEG (got ['WEBP', 'PNG', 'GIF'])",
        ),
    ],
)
def test_pictures_of_bands_have_formats_of_their_own(formats: tuple[str, ...], bands: bool, says: str) -> None:
    said = ""
    try:
        Limits(formats=formats).check_formats(bands)
    except ValidationError as refused:
        said = one_line(refused)
    assert said == says
