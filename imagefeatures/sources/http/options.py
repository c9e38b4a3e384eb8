"""The field `http` of a source; and what a fetch returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, field_validator

from imagefeatures.strict import StrictModel

OptOut = Literal["noai", "noimageai", "noindex", "noimageindex", "tdm-reservation", "content-usage"]


class HttpOptions(StrictModel):
    """How politely and how patiently URLs are fetched."""

    connections_per_host: int = Field(6, ge=1, le=64, description="Most requests to one host at a time")
    requests_per_second: float | None = Field(
        50, gt=0, le=10_000, description="Most requests to one host in a second; null: as many as it answers"
    )
    deadline_seconds: float = Field(
        30, ge=0.1, le=600, description="Longest time for one URL, from its first request on, with every retry"
    )
    opt_out: tuple[OptOut, ...] = Field(
        ("noai", "noimageai"), description="Response headers by which a host opts out of such use, as they count"
    )
    robots_txt: bool = Field(False, description="Fetch only what the host's robots.txt allows")
    contact: str | None = Field(None, description="A URL or an address for the User-Agent, so that hosts can ask")

    @field_validator("contact")
    @classmethod
    def _contact_fits_a_header(cls, contact: str | None) -> str | None:
        if contact is not None and not (contact.isascii() and contact.isprintable() and 3 <= len(contact) <= 200):
            raise ValueError("must be 3 to 200 plain characters, such as https://example.org/bot")
        return contact


@dataclass(frozen=True, slots=True)
class Response:
    """What a host returned for a URL.

    etag: the ETag, or Last-Modified where there is none; None where there is neither. not_modified: the host says that
    the version of the item's own etag is still the newest; data is empty then.
    """

    data: bytes
    etag: str | None
    not_modified: bool = False
