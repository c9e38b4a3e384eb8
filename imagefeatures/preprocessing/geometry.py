"""Transforms that change the size of a picture, or the place of its pixels. Rounding is torchvision's."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from imagefeatures.preprocessing.shapes import COLOURS, MOST_PIXELS, Colour, Shape, Side, Size, WholeNumber, check_work
from imagefeatures.strict import FrozenModel

Interpolation = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]

Offset = Annotated[WholeNumber, Field(ge=0, le=65535)]
"""A distance from the left or the upper edge, in pixels."""


class Resize(FrozenModel):
    """Resizes to a size, or keeps the ratio of the sides: by Pillow's filters, which widen as the picture shrinks.

    size: height and width, whatever the ratio was. shortest_edge, longest_edge: of that side; the other one is
    `int(edge × other / this)`, as in torchvision's Resize, and at least 1.

    >>> Resize(shortest_edge=256).size_of(height=427, width=640), Resize(longest_edge=224).size_of(427, 640)
    ((256, 383), (149, 224))
    """

    kind: Literal["resize"] = "resize"
    size: Size | None = Field(None, description="[height, width]")
    shortest_edge: Side | None = Field(None, description="Length of the shorter side; the ratio is kept")
    longest_edge: Side | None = Field(None, description="Length of the longer side; the ratio is kept")
    interpolation: Interpolation = Field("bicubic", description="Pillow's filter")

    @model_validator(mode="after")
    def _one_way_is_chosen(self) -> Self:
        if sum(given is not None for given in (self.size, self.shortest_edge, self.longest_edge)) != 1:
            raise ValueError("needs one of size: [height, width], shortest_edge and longest_edge")
        return self

    def size_of(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that a picture of this height and width is resized to."""
        if self.size:
            return self.size
        short, long = sorted((height, width))
        if self.shortest_edge:
            edges = (self.shortest_edge, int(self.shortest_edge * long / short))
        else:
            longest = self.longest_edge or 0
            edges = (max(1, int(longest * short / long)), longest)
        return edges if height <= width else edges[::-1]

    def shape(self, before: Shape) -> Shape:
        if self.size:
            return Shape(*self.size, before.channels)
        if before.height and before.width:
            height, width = self.size_of(before.height, before.width)
            if height * width > MOST_PIXELS:
                raise ValueError(f"would make {height:,} × {width:,} pixels; {MOST_PIXELS:,} is the most")
            return Shape(height, width, before.channels)
        return Shape(None, None, before.channels, self.longest_edge)

    def __call__(self, image: Any) -> Any:
        from imagefeatures import transforms

        height, width = self.size_of(image.height, image.width)
        check_work("resize", height, width, image.height)
        return transforms.resized(image, height, width, self.interpolation)


class CenterCrop(FrozenModel):
    """Cuts the middle out: the rectangle begins at `int(round((side - size) / 2.0))`, as in torchvision's CenterCrop.

    Python rounds a half to the even number. A smaller picture gets black edges, as there: `(size - side) // 2` pixels
    before it, the rest after it. rounding: down begins at `(side - size) // 2` in both cases, as Hugging Face's
    processors do: one pixel earlier where the difference is 3, 7, 11, … pixels.
    """

    kind: Literal["center_crop"] = "center_crop"
    size: Size = Field(description="[height, width]")
    rounding: Literal["half_even", "down"] = Field("half_even", description="Of half a pixel at the beginning")

    @model_serializer(mode="wrap")
    def _without_the_default(self, inner: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # The field came later than the transform: fingerprints of chains without it stay.
        fields: dict[str, Any] = inner(self)
        if fields["rounding"] == "half_even":
            del fields["rounding"]
        return fields

    def shape(self, before: Shape) -> Shape:
        return Shape(*self.size, before.channels)

    def __call__(self, image: Any) -> Any:
        from imagefeatures import transforms

        height, width = self.size
        start = _start if self.rounding == "half_even" else _start_down
        return transforms.cropped(image, start(image.height, height), start(image.width, width), height, width)


class Crop(FrozenModel):
    """Cuts a rectangle out: x from the left edge, y from the upper one. What lies beyond the picture is black.

    As torchvision's crop. A picture that has no pixel in the rectangle is rejected: TOO_SMALL.
    """

    kind: Literal["crop"] = "crop"
    x: Offset = Field(0, description="Pixels from the left edge")
    y: Offset = Field(0, description="Pixels from the upper edge")
    width: Side
    height: Side

    def shape(self, before: Shape) -> Shape:
        for end, side in ((self.y + self.height, before.height), (self.x + self.width, before.width)):
            if side is not None and end > side:
                raise ValueError(
                    f"ends at pixel {end} of a picture that is always {before.height} × {before.width} (height × width)"
                )
        return Shape(self.height, self.width, before.channels)

    def __call__(self, image: Any) -> Any:
        from imagefeatures import transforms

        return transforms.cropped(image, self.y, self.x, self.height, self.width)


class Pad(FrozenModel):
    """Puts the picture into the middle of a larger one of one colour. After `resize: {longest_edge: …}`: a letterbox.

    `(size - side) // 2` pixels are before it and the rest after it, as torchvision's CenterCrop pads a small picture.
    """

    kind: Literal["pad"] = "pad"
    size: Size = Field(description="[height, width]")
    fill: Colour = Field(COLOURS["black"], description="white, black, one number, or [red, green, blue]")

    def shape(self, before: Shape) -> Shape:
        height, width = before.height or before.longest, before.width or before.longest
        if height is None or width is None:
            raise ValueError("the picture may be larger; put resize: {longest_edge: …} or a crop before it")
        if height > self.size[0] or width > self.size[1]:
            larger = f"{height} × {width}" if before.height else f"{before.longest} pixels a side"
            raise ValueError(f"{self.size[0]} × {self.size[1]} is too small for a picture of {larger}")
        if before.channels != 3 and len(set(self.fill)) > 1:
            has = "one channel" if before.channels == 1 else f"{before.channels} channels"
            raise ValueError(f"fill must be a grey: the picture has {has}")
        return Shape(*self.size, before.channels)

    def __call__(self, image: Any) -> Any:
        from imagefeatures import transforms

        return transforms.padded(image, *self.size, self.fill)


class Flip(FrozenModel):
    """Mirrors the picture: left and right change places (horizontal), or top and bottom (vertical)."""

    kind: Literal["flip"] = "flip"
    direction: Literal["horizontal", "vertical"] = "horizontal"

    def shape(self, before: Shape) -> Shape:
        return before

    def __call__(self, image: Any) -> Any:
        from imagefeatures import transforms

        return transforms.flipped(image, self.direction)


def _start_down(side: int, size: int) -> int:
    """The same without Python's rounding.

    >>> [_start_down(side, 224) for side in (225, 226, 227, 224, 223, 221)]
    [0, 1, 1, 0, -1, -2]
    """
    return (side - size) // 2


def _start(side: int, size: int) -> int:
    """Where the middle of a side begins; below 0 where the side is too short.

    >>> [_start(side, 224) for side in (225, 226, 227, 224, 223, 221)]
    [0, 1, 2, 0, 0, -1]
    """
    return round((side - size) / 2.0) if side >= size else -((size - side) // 2)
