"""How a decoded image becomes the model's input: a declared chain of transforms.

The chain is part of run.json and of the fingerprint, so all vectors of one fingerprint were made from pixels by the
same rules. Scaling of pixel values belongs to the model (`imagefeatures.models.spec`).

This package is light: its transforms import `imagefeatures.images` or `imagefeatures.transforms`, and with them Pillow,
when they are called.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Annotated, Any, Protocol

from pydantic import Field

from imagefeatures.preprocessing.augment import AugmentedCopy
from imagefeatures.preprocessing.bands import SHARD_BYTES, Bands, Channels
from imagefeatures.preprocessing.colour import Alpha, Grayscale
from imagefeatures.preprocessing.geometry import CenterCrop, Crop, Flip, Pad, Resize
from imagefeatures.preprocessing.shapes import Shape
from imagefeatures.preprocessing.standard import RGB, Stretch, Upright
from imagefeatures.strict import FrozenModel

__all__ = ["RGB", "VERSION", "Chains", "PixelRule", "Preprocessing", "Stretch", "Transform", "Upright", "for_image"]

VERSION = 1
"""Raise it when imagefeatures/images.py or imagefeatures/transforms.py makes other pixels than before.

tests/test_images.py and tests/preprocessing hold digests of their output, so that this cannot be forgotten.
"""


class PixelRule(Protocol):
    """What makes an array of a decoded image: a chain of transforms, or another rule that can be pickled by name."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array that every image becomes."""
        ...

    @property
    def dtype(self) -> str:
        """NumPy's name of its type."""
        ...

    def __call__(self, image: Any) -> Any:
        """image: a decoded Pillow image, or a Picture of bands. Returns an array of these. Raises Rejected."""
        ...


Transform = Annotated[
    Upright | RGB | Stretch | Resize | CenterCrop | Crop | Pad | Flip | Alpha | Grayscale | Bands | AugmentedCopy,
    Field(discriminator="kind"),
]


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

    @classmethod
    def of(cls, *chain: Transform) -> Preprocessing:
        """These transforms. A chain that is the default one in other words gets its form, and with it its facts."""
        match chain:
            case (Upright(), RGB(), Resize(size=(height, width), interpolation="bicubic")):
                return cls.standard(height, width)
        return cls(chain=chain)

    @property
    def augmentation(self) -> AugmentedCopy | None:
        """What is done to this copy of a picture; None where a dataset has no copies."""
        return next((transform for transform in self.chain if isinstance(transform, AugmentedCopy)), None)

    @property
    def copy_number(self) -> int:
        """Which copy of each picture the chain makes; 0: the picture as it is."""
        return self.augmentation.number if self.augmentation else 0

    @property
    def plain(self) -> Preprocessing:
        """The same chain without augmentation. It makes the same pixels as copy 0 of this one."""
        of = Preprocessing.of(*(transform for transform in self.chain if not isinstance(transform, AugmentedCopy)))
        return of.model_copy(update={"version": self.version})

    def of_copy(self, number: int) -> Preprocessing:
        """The chain of another copy. The fingerprint is the same. number: 0 where there is no augmentation."""
        chain = tuple(
            transform.model_copy(update={"number": number}) if isinstance(transform, AugmentedCopy) else transform
            for transform in self.chain
        )
        return self.model_copy(update={"chain": chain})

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the chain's output, the same for every image.

        Raises ValueError when the chain leaves one of them open, or when a transform cannot follow the one before.
        """
        shape = Shape()
        for transform in self.chain:
            try:
                shape = transform.shape(shape)
            except ValueError as error:
                raise ValueError(f"{transform.kind}: {error}") from None
        if shape.height is None or shape.width is None or shape.channels is None:
            remedy = "end with a resize to a size, a crop or a pad"
            raise ValueError(f"{self.chain[-1].kind}: leaves the shape open: each picture keeps its own; {remedy}")
        return (shape.height, shape.width, shape.channels)

    @property
    def standard_size(self) -> tuple[int, int] | None:
        """Height and width to which the default chain stretches; None for any other chain."""
        match self.chain:
            case (Upright(), RGB(), Stretch() as stretch):
                return (stretch.height, stretch.width)
        return None

    @property
    def channels(self) -> Channels | None:
        """Of pictures whose bands are taken as they are stored; None where every picture becomes RGB."""
        return next((transform.channels for transform in self.chain if isinstance(transform, Bands)), None)

    @property
    def dtype(self) -> str:
        """The type of the chain's output."""
        return self.channels.dtype if self.channels else "uint8"

    def shard_images(self, most: int) -> int:
        """The most images of a shard: fewer than `most` where the pixels of bands would take a worker's memory."""
        if self.channels is None:
            return most
        return max(1, min(most, SHARD_BYTES // (math.prod(self.shape) * self.channels.item_bytes)))

    @property
    def facts(self) -> dict[str, Any]:
        """The facts that are part of the fingerprint.

        Those of the default chain are a mapping, as in version 0.1.0. Any other chain is a list, since a mapping would
        not tell its order.
        """
        facts: dict[str, Any] = {"version": self.version}
        match self.chain:
            case (Upright() as upright, RGB() as rgb, Stretch() as stretch):
                return facts | upright.facts() | rgb.facts() | stretch.facts()
        # All copies of a picture have one fingerprint, and so have those that are there besides.
        return facts | {"chain": [transform.model_dump(mode="json", exclude={"number"}) for transform in self.chain]}

    @property
    def fingerprint(self) -> str:
        """Digest of the chain alone, for pixels: 32 hexadecimal digits."""
        return hashlib.sha256(json.dumps({"preprocessing": self.facts}, sort_keys=True).encode()).hexdigest()[:32]

    def __call__(self, image: Any, image_id: str = "") -> Any:
        """image: a decoded Pillow image, or a Picture of bands. image_id: of its bytes, where the chain augments.

        Returns an array of self.dtype, [height, width, channels]. Raises Rejected.
        """
        from imagefeatures import transforms

        for transform in self.chain:
            image = transform(image, image_id) if isinstance(transform, AugmentedCopy) else transform(image)
        return transforms.as_array(image)


@dataclass(frozen=True)
class Chains:
    """Several chains as one rule: each picture is decoded once, and its arrays lie one after the other.

    It is here because the decode process can import no further module. No transform changes the image that it gets.
    """

    chains: tuple[Preprocessing, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (sum(math.prod(chain.shape) for chain in self.chains),)

    @property
    def dtype(self) -> str:
        """Of all of them: they begin with the same bands, or with RGB."""
        return self.chains[0].dtype

    def __call__(self, image: Any, image_id: str = "") -> Any:
        """image, image_id: as a chain takes them. Returns an array of that shape.

        Raises Rejected if one of the chains does.
        """
        import numpy as np

        return np.concatenate([chain(image, image_id).reshape(-1) for chain in self.chains])

    def split(self, pixels: Any) -> list[Any]:
        """The arrays of n images for each chain: [n, height, width, channels]. pixels: [n, *shape]."""
        ends = list(accumulate(math.prod(chain.shape) for chain in self.chains))
        starts = [0, *ends[:-1]]
        return [
            pixels[:, start:end].reshape(-1, *chain.shape)
            for chain, start, end in zip(self.chains, starts, ends, strict=True)
        ]


def for_image(rule: PixelRule, data: bytes) -> Callable[[Any], Any]:
    """The rule as it is for the image with these bytes: where chance decides, it is by them."""
    if isinstance(rule, Chains | Preprocessing):
        chains = rule.chains if isinstance(rule, Chains) else (rule,)
        if any(chain.copy_number for chain in chains):
            return partial(rule, image_id=hashlib.sha256(data).hexdigest())
    return rule
