"""What a decoder may get wrong is noticed, and the extremes of bands stay what they are."""

from __future__ import annotations

import numpy as np
import pytest

from imagefeatures.bands import decode, tiff
from imagefeatures.bands.picture import Picture
from imagefeatures.errors import Rejected
from imagefeatures.limits import Limits
from imagefeatures.preprocessing import Preprocessing
from imagefeatures.preprocessing.bands import Bands, Channels
from imagefeatures.reasons import Reason
from support.band_files import tiff_pages, values
from support.photos import encoded

CHANNELS = Channels(count=2)
CHAIN = Preprocessing(chain=(Bands(channels=CHANNELS),))
FILE = tiff_pages([values((4, 3, 1), "uint8", seed) for seed in range(2)])


def refusal() -> tuple[Reason, str]:
    with pytest.raises(Rejected) as found:
        decode.decode(FILE, Limits(), CHAIN, CHANNELS)
    return found.value.reason, found.value.detail


@pytest.mark.parametrize(
    ("given", "said"),
    [(np.zeros((4, 3, 3), np.uint8), "3 bands of uint8"), (np.zeros((4, 3, 2), np.uint16), "2 bands of uint16")],
)
def test_other_bands_than_declared_are_no_picture(
    given: np.ndarray, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff, "samples", lambda *_: given)
    assert refusal() == (Reason.UNSUPPORTED_MODE, f"the decoder gave {said}, not 2 bands of uint8")


@pytest.mark.parametrize("error", [OSError("cut"), ValueError("cut"), SyntaxError("cut")])
def test_what_the_decoder_raises_is_damage(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(tiff, "samples", fails)
    said = f"a strip or tile does not hold the pixels that are declared ({type(error).__name__}: cut)"
    assert refusal() == (Reason.CORRUPT, said)


def test_a_png_of_another_mode_than_it_declares_is_refused() -> None:
    grey = encoded(values((4, 3), "uint8"), "PNG")
    decode._check_mode(grey, "PNG", "L", Channels(count=1))
    with pytest.raises(Rejected, match=r"^UNSUPPORTED_MODE: the decoder gave mode 'RGB' of a PNG that declares 'L'$"):
        decode._check_mode(grey, "PNG", "RGB", Channels(count=3))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "lanczos"])
def test_sixteen_bits_stay_within_their_range(interpolation: str) -> None:
    black, white = np.zeros((8, 8, 1), np.uint16), np.full((8, 8, 1), 65535, np.uint16)
    for plain in (black, white):
        assert np.array_equal(Picture(plain).resized(5, 13, interpolation).pixels, np.resize(plain, (5, 13, 1)))
    edge = np.concatenate([black, white], axis=1)
    found = Picture(edge).resized(8, 40, interpolation).pixels
    assert (found[:, 0].max(), found[:, -1].min()) == (0, 65535)
    assert set(found[:, :16].ravel()) | set(found[:, 24:].ravel()) <= {*range(15000), *range(50000, 65536)}
    assert np.diff(found[0, ::39, 0].astype(int)) == 65535


@pytest.mark.parametrize(
    ("place", "inside"),
    [
        ((1, 1, 2, 2), (slice(0, 2), slice(0, 2))), ((-1, -2, 4, 5), (slice(1, 4), slice(2, 5))),
        ((2, 2, 4, 5), (slice(0, 2), slice(0, 3))), ((-3, 0, 3, 2), None), ((-5, -6, 3, 4), None), ((9, 9, 2, 2), None),
    ],
)  # fmt: skip
def test_beyond_the_picture_a_crop_is_0(place: tuple[int, int, int, int], inside: tuple[slice, slice] | None) -> None:
    pixels = 1 + np.arange(4 * 5, dtype=np.uint8).reshape(4, 5, 1)
    found = Picture(pixels).cropped(*place).pixels
    assert found.shape == (*place[2:], 1)
    expected = np.zeros(found.shape, np.uint8)
    if inside:
        top, left, height, width = place
        expected[inside] = pixels[max(top, 0) : top + height, max(left, 0) : left + width]
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_that_pillow_decodes_is_held_to_its_bytes_before_and_after(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where limits.max_pixels allows more pixels than fit into memory."""
    channels = Channels(count=3)
    chain, data = Preprocessing(chain=(Bands(channels=channels),)), encoded(values((5, 7, 3), "uint8"), kind)
    monkeypatch.setattr(decode, "most_bytes", lambda _: 105)
    assert decode.inspect(data, Limits(), channels).width == 7
    assert decode.decode(data, Limits(), chain, channels).pixels.shape == (5, 7, 3)
    monkeypatch.setattr(decode, "most_bytes", lambda _: 104)
    said = rf"^TOO_MANY_PIXELS: a {kind} of 7 × 5 × 3 bands × 1 bytes = 105 bytes; 104 is the most$"
    with pytest.raises(Rejected, match=said):
        decode.inspect(data, Limits(), channels)
    with pytest.raises(Rejected, match=said):
        decode.decode(data, Limits(), chain, channels)
