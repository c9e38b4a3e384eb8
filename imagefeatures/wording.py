"""What pydantic found wrong, in this product's words: what to write instead, and the name that was probably meant.

Also the arguments that readers refuse.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from imagefeatures import names
from imagefeatures.errors import InputError
from imagefeatures.reasons import printable

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

T = TypeVar("T")

MOST_SENTENCES = 20

MANY_KINDS = 3
"""So many kinds of source with a field are not listed."""

PATTERNS = {
    names.DATASET_NAME: "must be a name such as fruit: lower-case letters, digits and _, a letter first, 63 at most",
    names.PARTITION: "must be a name such as 2026-11-02: letters, digits, _, . and -, the first no sign, 64 at most",
    names.IMPORT_PATH: "must be a module and a name in it, such as my_module.my_notifier",
}
"""The patterns of texts, in words."""

WORDS = {
    "missing": "is required",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a number",
    "string_type": "must be a text; write it in quotes",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "list_type": "must be a list in brackets",
    "tuple_type": "must be a list in brackets",
    "model_type": "must be a mapping of fields",
    "model_attributes_type": "must be a mapping of fields",
    "date_type": "must be a day, such as 2026-11-01",
    "date_parsing": "must be a day of the calendar, such as 2026-11-01",
    "date_from_datetime_parsing": "must be a day of the calendar, such as 2026-11-01",
    "date_from_datetime_inexact": "must be a day without a time, such as 2026-11-01",
}
"""pydantic's kinds of errors, in words."""

BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}


def one_line(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """A pydantic error as `field: what is wrong (got …)`, several joined by semicolons.

    model: whose fields are known, so that one which was probably meant can be named.
    """
    sentences = list(_sentences(error, model))
    more = len(sentences) - MOST_SENTENCES
    return "; ".join(sentences[:MOST_SENTENCES]) + (f"; and {more} more" if more > 0 else "")


def error_at(place: tuple[str, ...], words: str, given: object) -> ValidationError:
    """What a validator raises of a field inside, or beside, the one that it validates. place: from there on."""
    kind = PydanticCustomError("value_error", words)
    return ValidationError.from_exception_data("", [InitErrorDetails(type=kind, loc=place, input=given)])


def only_sentence(error: ValidationError) -> str:
    """What is wrong with a model of one text, without the field and the value."""
    return _words(error.errors(include_url=False)[0])


def meant(given: object, known: Sequence[str]) -> str:
    """The known name that is nearest to what was given, as the end of a sentence; else all of them, or nothing.

    >>> meant("patern", ["pattern", "label"])
    ' (did you mean pattern?)'
    >>> meant("batch", ["pattern", "label"])
    ' (known: label, pattern)'
    """
    by_lower_case = {name.lower(): name for name in known}
    if near := difflib.get_close_matches(str(given).lower(), by_lower_case, 1):
        return f" (did you mean {by_lower_case[near[0]]}?)"
    return f" (known: {', '.join(sorted(known))})" if known else ""


def several(table: str, argument: str, given: Iterable[T]) -> list[T]:
    """The values of an argument that takes several. Raises InputError for one text, which would be read as letters."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise InputError(f"{table}: {argument} is {printable(repr(given))}; give a list: [{printable(repr(given))}]")
    return list(given)


def texts(table: str, argument: str, given: Iterable[T]) -> list[T]:
    """As `several`, of texts: what else pyiceberg and pyarrow take for a value, or refuse, is never a label or a key.

    Raises InputError for another value: NaN, with which pandas stands for no label, a number, None.
    """
    values = several(table, argument, given)
    for value in values:
        if not isinstance(value, str):
            raise InputError(f"{table}: {argument} has {printable(repr(value))}; each must be a text")
    return values


def _sentences(error: ValidationError, model: type[BaseModel] | None) -> Iterable[str]:
    for part in error.errors(include_url=False):
        *place, last = part["loc"] or ("",)
        # A kind of source, and a form in parentheses, are steps of the place for pydantic. No field is called so.
        steps = [
            step
            for at, step in enumerate(part["loc"])
            if (at != 1 or part["loc"][0] != "source") and not str(step).startswith("(")
        ]
        if part["type"] == "union_tag_invalid":
            steps.append("kind")
        field = printable(".".join(str(step) for step in steps))
        if part["type"] == "extra_forbidden":
            homes = _homes(model, str(last), place)
            hint = f" here; it belongs to {' or '.join(homes)}" if homes else meant(last, _fields(model, place))
            yield f"{field}: unknown field{hint}"
        elif part["type"] == "missing":
            yield f"{field}: {WORDS['missing']}"
        elif not part["loc"]:  # of the model as a whole: the sentence names its field
            yield _words(part)
        else:
            yield f"{field}: {_words(part)} (got {_shown(_given(part))})"


def _words(part: ErrorDetails) -> str:
    kind, context = part["type"], part.get("ctx", {})
    if kind == "string_pattern_mismatch":
        return PATTERNS.get(context["pattern"], f"must look like {context['pattern']}")
    if kind in ("literal_error", "union_tag_invalid"):
        allowed = context["expected" if kind == "literal_error" else "expected_tags"].replace("'", "")
        choices = [word for text in allowed.split(", ") for word in text.split(" or ")]
        allowed = " or ".join([", ".join(choices[:-1])] * (len(choices) > 1) + choices[-1:])
        given = _given(part)
        near = meant(given, choices) if isinstance(given, str) else ""
        return f"must be {allowed}{near if near.startswith(' (did') else ''}"
    for name, bound in ((name, context[name]) for name in BOUNDS if name in context):
        return f"must be {BOUNDS[name]} {f'{bound:g}' if isinstance(bound, float) else bound}"
    if kind in ("list_type", "tuple_type") and isinstance(part["input"], str):
        return f"{WORDS[kind]}: [{printable(part['input'])}]"
    if kind in WORDS:
        return WORDS[kind]
    return printable(part["msg"].removeprefix("Value error, ").replace("Input should be", "must be"))


def _given(part: ErrorDetails) -> Any:
    """The value that is wrong: of a mapping whose kind is unknown, the kind."""
    return part["input"].get("kind") if part["type"] == "union_tag_invalid" else part["input"]


def _fields(model: Any, place: Sequence[int | str]) -> list[str]:
    """The fields of the model at that place inside another one; none where that cannot be told."""
    models: list[Any] = [] if model is None else [model]
    for step in place:
        if fields := [one.model_fields[step] for one in models if step in one.model_fields]:
            inner = list(_models(fields[0].annotation))
            tagged = [one for one in inner if "kind" in one.model_fields]
            kinds = [one for one in tagged if set(_kinds(one)) & set(place)]
            models = kinds or inner[:1]  # a kind may have several forms
    return list(dict.fromkeys(name for one in models for name in _names(one)))


def _homes(model: type[BaseModel] | None, name: str, place: Sequence[int | str]) -> list[str]:
    """Where a field of this name belongs, if it is known in another place than the given one.

    >>> from imagefeatures.datasets import Dataset
    >>> _homes(Dataset, "max_bytes", []), _homes(Dataset, "sample", ["limits"])
    (['limits'], ['the first level'])
    >>> _homes(Dataset, "table", ["source", "folder"]), _homes(Dataset, "uri", [])
    (['source of kind url_table'], ['source', 'model', 'models'])
    """
    if model is None:
        return []
    homes = ["the first level"] if place and name in model.model_fields else []
    for field, info in model.model_fields.items():
        inner = [one for one in _models(info.annotation) if name in _names(one)]
        kinds = {kind for one in inner if "kind" in one.model_fields for kind in _kinds(one)}
        if inner:
            homes.append(f"{field} of kind {' or '.join(sorted(kinds))}" if 0 < len(kinds) < MANY_KINDS else field)
    return homes


def _names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _kinds(model: type[BaseModel]) -> tuple[str, ...]:
    return get_args(model.model_fields["kind"].annotation)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type is made of."""
    if isinstance(annotation, type):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for inner in get_args(annotation):
        yield from _models(inner)


def _shown(given: object) -> str:
    try:
        text = repr(given)
    except Exception:  # Python writes no whole number of more than 4,300 digits
        return f"a value of type {type(given).__name__}"
    text = re.sub(r"(https?://)[^\s'\"]*@", r"\1…@", text)  # a URL that is refused for its password
    text = re.sub(r"(https?://[^\s'\"?#]*)[?#][^\s'\"]*", r"\1?…", text)
    return f"{text[:80]}{'…' if len(text) > 80 else ''}"
