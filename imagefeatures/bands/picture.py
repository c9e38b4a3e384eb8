"""A picture of bands in memory, and what the transforms of a declared chain do to it, band by band.

resize                      uint8: Pillow's filter on 8 bits (mode L); float32: Pillow's filter on mode F; uint16: the
                            same, rounded half to even and cut to 0 … 65535
center_crop, crop, pad      the stored values move; beyond the picture there is 0, or `fill` in every band
flip                        the stored values move
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from imagefeatures.formats.limits import MOST_PICTURE_BYTES, check_bytes


@dataclass(frozen=True)
class Picture:
    """pixels: uint8, uint16 or float32 [height, width, bands], in the machine's byte order."""

    pixels: np.ndarray

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    def resized(self, height: int, width: int, interpolation: str) -> Picture:
        """Each band resized by Pillow's filter of that name. Raises Rejected (TOO_MANY_PIXELS)."""
        made = self._empty(height, width, "resize")
        for band in range(made.shape[2]):
            one = np.ascontiguousarray(self.pixels[..., band])
            image = Image.fromarray(one if one.dtype == np.uint8 else one.astype(np.float32))
            resized = np.asarray(image.resize((width, height), Image.Resampling[interpolation.upper()]))
            made[..., band] = resized if made.dtype != np.uint16 else np.clip(np.rint(resized), 0, 65535)
        return Picture(made)

    def cropped(self, top: int, left: int, height: int, width: int) -> Picture:
        """The rectangle from there on; 0 where it lies beyond the picture."""
        made = self._empty(height, width, "crop")
        made[:] = 0
        inside = self.pixels[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
        row, column = max(-top, 0), max(-left, 0)
        made[row : row + inside.shape[0], column : column + inside.shape[1]] = inside
        return Picture(made)

    def padded(self, height: int, width: int, fill: int) -> Picture:
        """The picture in the middle of a larger one, whose bands all have the value `fill`."""
        made = self._empty(height, width, "pad")
        made[:] = fill
        row, column = (height - self.height) // 2, (width - self.width) // 2
        made[row : row + self.height, column : column + self.width] = self.pixels
        return Picture(made)

    def flipped(self, direction: str) -> Picture:
        return Picture(self.pixels[:, ::-1] if direction == "horizontal" else self.pixels[::-1])

    def upright(self, orientation: int) -> Picture:
        """The picture turned and mirrored as an orientation of EXIF or TIFF says: 1 to 8."""
        pixels = self.pixels
        if orientation >= 5:
            pixels = pixels.swapaxes(0, 1)
        if orientation in (2, 3, 6, 7):
            pixels = pixels[:, ::-1]
        if orientation in (3, 4, 7, 8):
            pixels = pixels[::-1]
        return Picture(pixels)

    def _empty(self, height: int, width: int, transform: str) -> np.ndarray:
        shape = (height, width, self.pixels.shape[2])
        check_bytes(shape, self.pixels.itemsize, MOST_PICTURE_BYTES, f"{transform} would make")
        return np.empty(shape, self.pixels.dtype)
