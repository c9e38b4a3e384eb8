"""What pydantic found wrong, as one line for a person."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ValidationError

from imagefeatures.reasons import printable

MOST_SENTENCES = 20


def one_line(error: ValidationError) -> str:
    """A pydantic error as `field: what is wrong (got …)`, several joined by semicolons."""
    sentences = list(_sentences(error))
    more = len(sentences) - MOST_SENTENCES
    return "; ".join(sentences[:MOST_SENTENCES]) + (f"; and {more} more" if more > 0 else "")


def _sentences(error: ValidationError) -> Iterable[str]:
    for part in error.errors(include_url=False):
        field = printable(".".join(str(step) for step in part["loc"]))
        if part["type"] == "extra_forbidden":
            yield f"{field}: unknown field"
        elif part["type"] == "missing":
            yield f"{field}: is required"
        else:
            yield f"{field}: {printable(part['msg'])} (got {_shown(part['input'])})"


def _shown(given: object) -> str:
    try:
        text = repr(given)
    except Exception:  # Python writes no whole number of more than 4,300 digits
        return f"a value of type {type(given).__name__}"
    return f"{text[:80]}{'…' if len(text) > 80 else ''}"
