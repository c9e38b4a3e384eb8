"""Transforms that change the colours of a picture."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from imagefeatures.preprocessing.shapes import Colour, Shape
from imagefeatures.strict import FrozenModel


class Alpha(FrozenModel):
    """Lays the picture on a colour, by its alpha channel or its transparent colour; then it is RGB.

    A value becomes `(value × alpha + matte × (255 - alpha)) / 255`, rounded. Without this transform alpha is ignored.
    Raises Rejected for a mode without a rule.
    """

    kind: Literal["alpha"] = "alpha"
    matte: Colour = Field(description="white, black, one number, or [red, green, blue]")

    def shape(self, before: Shape) -> Shape:
        return before._replace(channels=3)

    def __call__(self, image: Any) -> Any:
        from imagefeatures import transforms

        return transforms.on_matte(image, self.matte)


class Grayscale(FrozenModel):
    """Takes the colours away: `(19595 R + 38470 G + 7471 B + 32768) >> 16`, Pillow's conversion to L (ITU-R 601-2).

    As torchvision's Grayscale. channels: 3 are equal; plan settles None: 1 if the model takes one, else 3.
    """

    kind: Literal["grayscale"] = "grayscale"
    channels: Literal[1, 3] | None = Field(None, description="1 or 3 equal ones; null: 1 if the model takes 1, else 3")

    def shape(self, before: Shape) -> Shape:
        return before._replace(channels=self.channels or 3)

    def __call__(self, image: Any) -> Any:
        from imagefeatures import transforms

        return transforms.grey(image, self.channels or 3)
