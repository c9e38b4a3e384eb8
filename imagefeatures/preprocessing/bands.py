"""Pictures whose bands are taken as they are stored, with no conversion to RGB: the field `channels` of a dataset file.

`imagefeatures.bands` reads them. This module is imported whenever Airflow parses the DAG file.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from imagefeatures.preprocessing.shapes import WholeNumber
from imagefeatures.strict import FrozenModel, StrictModel

MOST_BANDS = 1000
SHARD_BYTES = 2**28
"""The most pixels of a shard whose pictures have bands: a worker holds a shard's pixels at once."""

DType = Literal["uint8", "uint16", "float32"]
ITEM_BYTES: dict[str, int] = {"uint8": 1, "uint16": 2, "float32": 4}


class Channels(StrictModel):
    """How many bands each picture has, of which type they are stored, and which axis of an .npy file they are.

    >>> Channels(count=12, dtype="uint16").mode
    'uint16x12'
    """

    count: Annotated[WholeNumber, Field(ge=1, le=MOST_BANDS, description="How many bands each picture has")]
    dtype: DType = Field("uint8", description="The type of the stored values")
    axes: Literal["hwc", "chw"] = Field("hwc", description="The order of the axes of an .npy file of three")

    @property
    def mode(self) -> str:
        """What the tables show as the mode of such a picture."""
        return f"{self.dtype}x{self.count}"

    @property
    def item_bytes(self) -> int:
        """Bytes of one value."""
        return ITEM_BYTES[self.dtype]

    def __str__(self) -> str:
        return f"{self.count} band{'s' * (self.count != 1)} of {self.dtype}"


def _from_a_number(given: Any) -> Any:
    """A number alone is the short form; 3 is RGB."""
    if isinstance(given, int) and 1 <= given <= MOST_BANDS:
        return None if given == 3 else {"count": given}
    if not isinstance(given, dict | Channels | None):
        raise ValueError(f"must be a whole number from 1 to {MOST_BANDS}, or a mapping with count")
    return given


ChannelsField = Annotated[Channels | None, BeforeValidator(_from_a_number)]
"""The field of a dataset file."""


class Bands(FrozenModel):
    """Takes the bands as they are stored. The picture is turned upright, as its orientation says.

    Values are scaled by the model, as RGB is: `scale:` of a dataset file.
    """

    kind: Literal["bands"] = "bands"
    channels: Channels

    def shape(self, before: Any) -> Any:
        return before._replace(channels=self.channels.count)

    def __call__(self, picture: Any) -> Any:
        """picture: a `bands.picture.Picture`, which is read so that it has these channels."""
        return picture
