"""The limits for one object, and the share of a run's objects that may be rejected: `limits:` of a dataset file."""

from __future__ import annotations

from pydantic import Field, field_validator

from imagefeatures.strict import StrictModel
from imagefeatures.wording import error_at, meant

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIC", "AVIF", "JPEG2000")
"""The image formats with a container check and a decoder."""

BAND_FORMATS = ("TIFF", "NPY", "PNG", "JPEG")
"""The formats of pictures whose bands are taken as they are stored. NPY is one of these alone."""


class Limits(StrictModel):
    """The limits for one object, and the share of a run's objects that may be rejected."""

    max_bytes: int = Field(32 * 2**20, ge=1, le=2**31, description="Largest object that is downloaded, in bytes")
    max_pixels: int = Field(50_000_000, ge=1, le=2**31, description="Largest width × height that is decoded")
    max_rejected: float = Field(
        0.05, ge=0, le=1, description="Failure budget: share of the listed objects that may be rejected"
    )
    decode_seconds: float = Field(10, ge=0.1, le=600, description="Longest time one image may take to decode")
    max_metadata_bytes: int = Field(
        16 * 2**20,
        ge=1,
        le=2**30,
        description="Most metadata (profiles, EXIF, XMP, texts, tags) of one image, in bytes after decompression",
    )
    max_profile_bytes: int = Field(
        2**20, ge=1, le=2**30, description="Most bytes that one compressed profile or text of a PNG may inflate to"
    )
    formats: tuple[str, ...] = Field(FORMATS, min_length=1, description="Image formats that may be opened")

    def check_formats(self, bands: bool) -> None:
        """Raise ValidationError for a format that is not read. bands: pictures of bands are, else all become RGB."""
        readable = BAND_FORMATS if bands else FORMATS
        if self.formats != FORMATS and (unread := set(self.formats) - set(readable)):  # the default fits both
            how = f"with channels, only {', '.join(readable)}" if bands else "without channels"
            raise error_at(("limits", "formats"), f"{min(unread)} is not read {how}", list(self.formats))

    @field_validator("formats")
    @classmethod
    def _formats_are_known(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := set(formats) - {*FORMATS, *BAND_FORMATS}:
            raise ValueError(f"there is no decoder for {min(unknown)}{meant(min(unknown), FORMATS)}")
        return formats
