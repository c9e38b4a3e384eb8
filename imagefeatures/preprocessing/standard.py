"""The transforms of the default chain."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from imagefeatures.preprocessing.shapes import Shape
from imagefeatures.strict import FrozenModel


class Upright(FrozenModel):
    """Turns and mirrors the image as its EXIF orientation says. An EXIF block that cannot be read counts as upright."""

    kind: Literal["upright"] = "upright"

    def shape(self, before: Shape) -> Shape:
        return Shape(None, None, before.channels)

    def facts(self) -> dict[str, Any]:
        return {"orientation": "exif"}

    def __call__(self, image: Any) -> Any:
        from imagefeatures import images

        return images.upright(image)


class RGB(FrozenModel):
    """Converts every mode to RGB, by the table in `imagefeatures.images`. Raises Rejected for a mode without a rule."""

    kind: Literal["rgb"] = "rgb"

    def shape(self, before: Shape) -> Shape:
        return before._replace(channels=3)

    def facts(self) -> dict[str, Any]:
        return {"color": "rgb"}

    def __call__(self, image: Any) -> Any:
        from imagefeatures import images

        return images.to_rgb(image)


class Stretch(FrozenModel):
    """Resizes to height × width without keeping the ratio of the sides, by Pillow's bicubic filter."""

    kind: Literal["stretch"] = "stretch"
    height: int = Field(ge=1, le=4096)
    width: int = Field(ge=1, le=4096)
    resample: Literal["bicubic"] = "bicubic"

    def shape(self, before: Shape) -> Shape:
        return Shape(self.height, self.width, before.channels)

    def facts(self) -> dict[str, Any]:
        return {"size": [self.height, self.width], "resample": self.resample}

    def __call__(self, image: Any) -> Any:
        from imagefeatures import bicubic

        return bicubic.resized(image, self.height, self.width)
