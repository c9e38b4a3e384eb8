"""`augment`: copies of each picture that differ from it by chance, for a training. Each copy is a row of its own.

What chance decides is computed of the seed, the picture's bytes and the copy's number: another sharding, a retry or
another machine draw the same.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from imagefeatures.preprocessing.shapes import Shape, WholeNumber, not_a_truth_value
from imagefeatures.strict import FrozenModel

MOST_COPIES = 16

Number = Annotated[float, BeforeValidator(not_a_truth_value)]


class Changes(FrozenModel):
    """What a copy may differ in, in the order in which it is done. One of them at least is there.

    The fields of `Augment` but the number of copies: a copy is the same, however many there are besides.
    """

    seed: WholeNumber = Field(0, ge=0, le=2**63 - 1, description="Another seed draws other copies")
    crop: Number | None = Field(
        None, ge=0.1, lt=1, description="The least share of width and of height that is kept; a resize must follow"
    )
    flip: Literal["horizontal", "vertical"] | None = Field(None, description="Mirrors every second copy, by chance")
    rotate: Number = Field(0, ge=0, le=180, description="Turns by up to so many degrees, either way")
    brightness: Number = Field(0, ge=0, le=1, description="Multiplies by 1 less to 1 more this share")
    contrast: Number = Field(0, ge=0, le=1, description="The same of the distance from the mean grey")

    @model_validator(mode="after")
    def _something_changes(self) -> Self:
        if not (self.crop or self.flip or self.rotate or self.brightness or self.contrast):
            raise ValueError("changes nothing; set one of crop, flip, rotate, brightness and contrast")
        return self


class Augment(Changes):
    """Makes copies of every picture that differ from it by chance; the picture as it is remains copy 0."""

    kind: Literal["augment"] = "augment"
    copies: WholeNumber = Field(ge=1, le=MOST_COPIES, description="Copies of each picture, besides itself")


class AugmentedCopy(Changes):
    """What `augment` does to one copy of a picture. number: of the copy; 0 is the picture as it is."""

    kind: Literal["augment"] = "augment"
    number: WholeNumber = Field(0, ge=0, le=MOST_COPIES)

    def shape(self, before: Shape) -> Shape:
        if self.crop is None:
            return before
        longest = max(before.height, before.width) if before.height and before.width else before.longest
        return Shape(None, None, before.channels, longest)

    def __call__(self, image: Any, image_id: str) -> Any:
        """image_id: SHA-256 of the picture's bytes, in hexadecimal."""
        if not self.number:
            return image
        from imagefeatures import transforms

        def between(what: str, least: float, most: float) -> float:
            return least + (most - least) * draw(self.seed, image_id, self.number, what)

        if self.crop is not None:
            height = max(1, int(between("height", self.crop, 1) * image.height))
            width = max(1, int(between("width", self.crop, 1) * image.width))
            top = int(between("top", 0, image.height - height + 1))
            left = int(between("left", 0, image.width - width + 1))
            image = transforms.cropped(image, top, left, height, width)
        if self.flip and between("flip", 0, 1) < 0.5:
            image = transforms.flipped(image, self.flip)
        if self.rotate:
            image = transforms.rotated(image, between("rotate", -self.rotate, self.rotate))
        if self.brightness:
            image = transforms.brightened(image, between("brightness", 1 - self.brightness, 1 + self.brightness))
        if self.contrast:
            image = transforms.contrasted(image, between("contrast", 1 - self.contrast, 1 + self.contrast))
        return image


def draw(seed: int, image_id: str, number: int, what: str) -> float:
    """A number from 0 to below 1, the same on every machine: 53 bits of a SHA-256.

    Each thing that is drawn has a name of its own, so one more of them changes no other.

    >>> draw(7, "b" * 64, 1, "flip")
    0.03661530100942134
    """
    text = f"{seed}:{image_id}:{number}:{what}".encode()
    return (int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 11) / 2**53
