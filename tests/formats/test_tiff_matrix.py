"""Every layout of a TIFF gives the pixels that it declares, or a reason: nothing else is published in silence."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from imagefeatures import images
from imagefeatures.errors import Rejected
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason
from support.tiff_files import YCBCR, Tiff
from support.tiff_matrix import few_layouts, is_documented, kinds

LIMITS = Limits()
REFUSED = (Reason.UNSUPPORTED_MODE, Reason.UNSUPPORTED_FORMAT)


def rgb(image: Image.Image) -> np.ndarray:
    """A preprocessing that changes no size."""
    return np.asarray(images.to_rgb(images.upright(image)))


def outcome(data: bytes, expected: Tiff) -> str:
    """What becomes of a file: "read", "wrong", or the reason."""
    try:
        header = images.inspect(data, LIMITS)
        pixels = images.decode(data, LIMITS, rgb).pixels
    except Rejected as why:
        with pytest.raises(Rejected):  # also where the decoder is asked alone
            images.decode(data, LIMITS, rgb)
        return str(why.reason)
    wanted = expected.rgb()
    # Conversions from YCbCr and from premultiplied colours round in their own ways.
    tolerance = 1 if expected.photometric == YCBCR or 1 in expected.extra else 0
    same = pixels.shape == wanted.shape and np.abs(pixels.astype(int) - wanted).max() <= tolerance
    return "read" if same and (header.height, header.width) == wanted.shape[:2] else "wrong"


def test_every_layout_is_read_right_or_refused(capsys: pytest.CaptureFixture[str]) -> None:
    ends: Counter[str] = Counter()
    for kind in kinds():
        for tiff in few_layouts(kind):
            end = outcome(tiff.bytes(), tiff)
            ends[end] += 1
            said = f"{kind}: {tiff.order} {tiff.planes=} {tiff.compression=} {tiff.reversed_bits=} {tiff.predictor=}"
            assert end == "read" if is_documented(tiff) else end in REFUSED, f"{said}: {end}"
    with capsys.disabled():
        print(f" {ends.total():,} TIFFs: {ends['read']:,} read right, the others refused ", end="")
    assert ends["wrong"] == 0
    assert ends.total() > 245
    assert min(ends["read"], ends[Reason.UNSUPPORTED_MODE]) > 100
