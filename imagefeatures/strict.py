"""The bases of what a user writes and of what run.json holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class FrozenModel(BaseModel):
    """A pydantic model that refuses unknown fields and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StrictModel(FrozenModel):
    """Refuses truth values too, where a number or a text is wanted.

    pydantic allows no such check of the field that tells the members of a union apart: those are FrozenModels.
    """

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_values(cls, value: Any, info: ValidationInfo) -> Any:
        wanted = cls.model_fields[str(info.field_name)].annotation
        # Python would count it as 1: `max_bytes: yes` is no limit that anyone meant.
        if isinstance(value, bool) and wanted not in (bool, bool | None):
            raise ValueError("must not be true or false")
        return value


_UNUSABLE = re.compile("[\0\ud800-\udfff]")


def unusable_texts(content: object, path: str = "") -> Iterator[str]:
    """The places of texts that cannot be stored: with a NUL, or with half of a surrogate pair.

    content: mappings, lists and plain values, as YAML and JSON have them. A database or a file system refuses such a
    text late, and with it whatever else is written by the same statement.

    >>> list(unusable_texts({"source": {"uri": "s3://b/\\0/"}, "label": "none"}))
    ['source.uri']
    """
    if isinstance(content, str):
        if _UNUSABLE.search(content):
            yield path
    elif isinstance(content, dict | list | tuple):
        pairs = content.items() if isinstance(content, dict) else enumerate(content)
        for key, value in pairs:
            inner = f"{path}.{key}" if path else str(key)
            yield from unusable_texts(key, inner)
            yield from unusable_texts(value, inner)
