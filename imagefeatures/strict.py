"""The bases of what a user writes and of what run.json holds."""

from __future__ import annotations

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
