"""The field `preprocess` of a dataset file: a list of transforms, each a mapping with its name as the only key.

Or a mapping that names a file of Hugging Face, which plan replaces by such a list.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, WrapSerializer, field_validator

from imagefeatures import beside
from imagefeatures.preprocessing import RGB, Preprocessing, Transform, Upright
from imagefeatures.preprocessing.augment import Augment, AugmentedCopy
from imagefeatures.preprocessing.bands import Bands, Channels
from imagefeatures.preprocessing.colour import Alpha, Grayscale
from imagefeatures.preprocessing.geometry import CenterCrop, Crop, Flip, Pad, Resize
from imagefeatures.strict import FrozenModel, StrictModel
from imagefeatures.wording import meant

if TYPE_CHECKING:
    from imagefeatures.models.spec import ModelSpec

BY_NAME: dict[str, type[FrozenModel]] = {
    transform.model_fields["kind"].default: transform
    for transform in (Resize, CenterCrop, Crop, Pad, Flip, Grayscale, Alpha, Augment)
}
"""The transforms that a dataset file may name."""

MOST_TRANSFORMS = 32


def _by_kind(given: Any) -> Any:
    """`{resize: {…}}` as `{kind: resize, …}`, and a bare name as the transform with its defaults."""
    if isinstance(given, str):
        given = {given: {}}
    if not isinstance(given, dict):
        return given  # a transform already; pydantic refuses anything else
    if len(given) != 1:
        raise ValueError("must be one transform, such as {resize: {shortest_edge: 256}}; begin the next with a - too")
    ((name, fields),) = given.items()
    if name not in BY_NAME:
        raise ValueError(f"there is no transform {name!r}{meant(name, list(BY_NAME))}")
    if not isinstance(fields, dict | None) or "kind" in (fields or {}):
        raise ValueError(f"{name}: must be a mapping of fields, such as {{shortest_edge: 256}}")
    return {**(fields or {}), "kind": name}


def _by_name(transform: Any, inner: SerializerFunctionWrapHandler) -> dict[str, Any]:
    """The form of a dataset file again, with every default written out."""
    fields = inner(transform)
    return {fields.pop("kind"): fields}


Declared = Annotated[
    Resize | CenterCrop | Crop | Pad | Flip | Grayscale | Alpha | Augment,
    Field(discriminator="kind"),
    BeforeValidator(_by_kind, json_schema_input_type=dict[str, Any] | str),
    WrapSerializer(_by_name),
]
"""One entry of the list."""


class PreprocessorConfig(StrictModel):
    """A `preprocessor_config.json` of Hugging Face, by its URI: imagefeatures.preprocessing.hugging_face reads it."""

    preprocessor_config: str = Field(min_length=1, description="s3://… or file:///… or relative to this file")

    @field_validator("preprocessor_config")
    @classmethod
    def _it_is_in_a_store(cls, uri: str) -> str:
        return beside.check(uri)

    def beside(self, folder: Path) -> Self:
        """The same with an absolute URI. folder: of the dataset file."""
        return self.model_copy(update={"preprocessor_config": beside.absolute(self.preprocessor_config, folder)})


def is_file(given: Any) -> bool:
    """Whether the field names a file and is no list."""
    return isinstance(given, PreprocessorConfig) or (isinstance(given, dict) and "preprocessor_config" in given)


def check(declared: Sequence[Any], channels: Channels | None = None) -> None:
    """Check what needs no model: that each transform can follow the one before, and that the last size is settled.

    channels: of pictures of bands. Raises ValueError.
    """
    if not 1 <= len(declared) <= MOST_TRANSFORMS:
        raise ValueError(f"must have 1 to {MOST_TRANSFORMS} transforms")
    _ = (_chain(declared, 3) if channels is None else _chain_of_bands(declared, channels)).shape


def copies(declared: Sequence[Any] | PreprocessorConfig | None) -> int:
    """How many augmented copies of each picture there are, besides itself."""
    transforms = () if declared is None or isinstance(declared, PreprocessorConfig) else declared
    return next((transform.copies for transform in transforms if isinstance(transform, Augment)), 0)


def settled(declared: Sequence[Any] | None, model: ModelSpec, channels: Channels | None = None) -> Preprocessing:
    """The whole chain that makes the model's input. declared: None for the default. channels: of pictures of bands.

    Every picture is turned upright and converted to RGB before the first declared transform; `alpha` is that
    conversion. A chain that is the default's gets the default's form, and with it the same fingerprint. Raises
    ValueError when the chain makes another input.
    """
    height, width, count = model.input_shape
    if channels:
        chain = _chain_of_bands([Resize(size=(height, width))] if declared is None else declared, channels)
    else:
        chain = Preprocessing.standard(height, width) if declared is None else _chain(declared, count)
    if chain.shape != model.input_shape:
        made, taken = (" × ".join(map(str, shape)) for shape in (chain.shape, model.input_shape))
        raise ValueError(f"makes {made} (height × width × channels) of a picture, and {model.name} takes {taken}")
    if chain.dtype != model.input_type:
        raise ValueError(f"makes {chain.dtype} of a picture, and {model.name} was prepared for {model.input_type}")
    return chain


def without_model(
    declared: Sequence[Any] | None, input_shape: tuple[int, int, int], channels: Channels | None = None
) -> Preprocessing:
    """The whole chain where no model takes what it makes. input_shape: of the model that gives the size by default."""
    if channels:
        return _chain_of_bands([Resize(size=input_shape[:2])] if declared is None else declared, channels)
    return Preprocessing.standard(*input_shape[:2]) if declared is None else _chain(declared, 3)


def _chain_of_bands(declared: Sequence[Any], channels: Channels) -> Preprocessing:
    """Such a picture is turned upright as it is read."""
    for transform in declared:
        if isinstance(transform, Alpha | Grayscale | Augment):
            raise ValueError(f"{transform.kind}: is for RGB, and channels takes the bands as they are; leave one out")
    return Preprocessing(chain=(Bands(channels=channels), *declared))


def _chain(declared: Sequence[Any], channels: int) -> Preprocessing:
    first: Transform = RGB()
    rest = list(declared)
    if rest and isinstance(rest[0], Alpha):
        first = rest.pop(0)
    if any(isinstance(transform, Alpha) for transform in rest):
        raise ValueError("alpha: must be the first transform, and is there once: after it a picture has no alpha")
    _check_augment(rest)
    grey = {"channels": 1 if channels == 1 else 3}
    chain: list[Transform] = []
    for transform in rest:
        if isinstance(transform, Grayscale) and not transform.channels:
            chain.append(transform.model_copy(update=grey))
        elif isinstance(transform, Augment):
            chain.append(AugmentedCopy(**transform.model_dump(exclude={"kind", "copies"})))
        else:
            chain.append(transform)
    return Preprocessing.of(Upright(), first, *chain)


def _check_augment(transforms: Sequence[Any]) -> None:
    places = [at for at, transform in enumerate(transforms) if isinstance(transform, Augment)]
    if len(places) > 1:
        raise ValueError("augment: is there once; set all that copies may differ in at one place")
    for at in places:
        if transforms[at].crop and not isinstance(next(iter(transforms[at + 1 :]), None), Resize):
            raise ValueError("augment: crop leaves each copy a size of its own; put a resize after it")
