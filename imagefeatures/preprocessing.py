"""How a decoded image becomes the model's input: a declared chain of transforms.

The chain is part of run.json and of the fingerprint, so all vectors of one fingerprint were made from pixels by the
same rules. Scaling of pixel values belongs to the model (`imagefeatures.models.spec`).

This module is light: the transforms import `imagefeatures.images`, and with it Pillow, when they are called.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from imagefeatures.strict import FrozenModel

VERSION = 1
"""Raise it when imagefeatures/images.py makes other pixels from the same bytes than before.

tests/test_images.py holds digests of its output, so that this cannot be forgotten.
"""

Shape = tuple[int | None, int | None, int | None]
"""Height, width, channels; None: those of the image."""


class PixelRule(Protocol):
    """What makes an array of a decoded image: a chain of transforms, or another rule that can be pickled by name."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array that every image becomes."""
        ...

    def __call__(self, image: Any) -> Any:
        """image: a decoded Pillow image. Returns uint8 of that shape. Raises Rejected."""
        ...


class Upright(FrozenModel):
    """Turns and mirrors the image as its EXIF orientation says. An EXIF block that cannot be read counts as upright."""

    kind: Literal["upright"] = "upright"

    def shape(self, before: Shape) -> Shape:
        return (None, None, before[2])

    def facts(self) -> dict[str, Any]:
        return {"orientation": "exif"}

    def __call__(self, image: Any) -> Any:
        from imagefeatures import images

        return images.upright(image)


class RGB(FrozenModel):
    """Converts every mode to RGB, by the table in `imagefeatures.images`. Raises Rejected for a mode without a rule."""

    kind: Literal["rgb"] = "rgb"

    def shape(self, before: Shape) -> Shape:
        return (before[0], before[1], 3)

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
        return (self.height, self.width, before[2])

    def facts(self) -> dict[str, Any]:
        return {"size": [self.height, self.width], "resample": self.resample}

    def __call__(self, image: Any) -> Any:
        from imagefeatures import images

        return images.resized(image, self.height, self.width)


Transform = Annotated[Upright | RGB | Stretch, Field(discriminator="kind")]


class Preprocessing(FrozenModel):
    """The transforms in their order.

    >>> Preprocessing.standard(224, 224).shape
    (224, 224, 3)
    """

    version: int = VERSION
    chain: tuple[Transform, ...] = Field(min_length=1)

    @classmethod
    def standard(cls, height: int, width: int) -> Preprocessing:
        """Upright, RGB, stretched to the size: what the Keras examples of the ImageNet models do."""
        return cls(chain=(Upright(), RGB(), Stretch(height=height, width=width)))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the chain's output, the same for every image.

        Raises ValueError when the chain leaves one of them open.
        """
        shape: Shape = (None, None, None)
        for transform in self.chain:
            shape = transform.shape(shape)
        height, width, channels = shape
        if height is None or width is None or channels is None:
            raise ValueError(f"the preprocessing leaves the shape open: {shape}")
        return (height, width, channels)

    @property
    def facts(self) -> dict[str, Any]:
        """The facts that are part of the fingerprint."""
        facts: dict[str, Any] = {"version": self.version}
        for transform in self.chain:
            facts |= transform.facts()
        return facts

    def __call__(self, image: Any) -> Any:
        """image: a decoded Pillow image. Returns uint8 [height, width, channels]. Raises Rejected."""
        for transform in self.chain:
            image = transform(image)
        return image
