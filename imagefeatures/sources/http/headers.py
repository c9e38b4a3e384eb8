"""What the headers of a response say: whether its host opts out, when to come back, which version it is."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Mapping, Sequence
from email.utils import parsedate_to_datetime

BOT = "imagefeatures"
"""The name by which a host may address this program alone, in lower case."""

Headers = Mapping[str, Sequence[str]]
"""The values of each header, by its name in lower case."""

WANTED = (
    "content-length", "date", "etag", "last-modified", "location", "retry-after",
    "x-robots-tag", "tdm-reservation", "content-usage",
)  # fmt: skip
"""The headers that are read; all others are dropped as they arrive."""

_WITH_VALUE = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")
_AI_USES = ("train-ai", "train-genai", "genai", "ai", "tdm", "bots", "all")
"""The categories of Content-Usage, of its drafts too, that hold a use such as this one."""


def opted_out(headers: Headers, counted: Collection[str]) -> str | None:
    """The header by which a host opts out, for a person to read; None where it does not. counted: as in HttpOptions.

    >>> opted_out({"x-robots-tag": ["otherbot: noai", "noindex, noimageai"]}, ("noai", "noimageai"))
    'X-Robots-Tag: noimageai'
    """
    said = {rule for line in headers.get("x-robots-tag", ()) for rule in _rules(line)}
    if "none" in said:  # a short form
        said |= {"noindex", "nofollow"}
    if found := sorted(said & set(counted)):
        return f"X-Robots-Tag: {', '.join(found)}"
    if "tdm-reservation" in counted and any(value.strip() == "1" for value in headers.get("tdm-reservation", ())):
        return "tdm-reservation: 1"
    if "content-usage" in counted:
        for entry in (entry for line in headers.get("content-usage", ()) for entry in line.split(",")):
            use, _, may = entry.partition(";")[0].strip().lower().partition("=")
            if use in _AI_USES and may == "n":
                return f"Content-Usage: {use}=n"
    return None


def _rules(line: str) -> set[str]:
    """The rules of one X-Robots-Tag line that are meant for this program, in lower case.

    A line is `rule, rule`, or `bot: rule, rule`, or several such one after the other. A date behind a rule such as
    `unavailable_after:` holds colons, and often a comma.
    """
    rules, for_us = set(), True
    for part in line.lower().split(","):
        name, colon, rest = part.partition(":")
        if colon and name.strip() not in _WITH_VALUE and re.fullmatch(r"\s*[a-z*][\w.*-]*\s*", name):
            for_us, part = name.strip() in ("*", BOT), rest
        if for_us:
            rules.add(part.strip())
    return rules


def retry_after(headers: Headers) -> float | None:
    """For how many seconds a host asks not to be asked again; None where it does not say. At least 0."""
    text = _value(headers, "retry-after")
    if re.fullmatch("[0-9]{1,9}", text):
        return float(text)
    date = _date(text)
    return max(0.0, (date - dt.datetime.now(dt.UTC)).total_seconds()) if date else None


def version(headers: Headers) -> str | None:
    """The ETag of a response, or its Last-Modified where it has none that can be sent back.

    A Last-Modified of less than a second before the response marks no version: in that second it may change again.
    """
    etag = _value(headers, "etag")
    if _can_be_sent(etag):
        return etag
    text = _value(headers, "last-modified")
    modified, sent = _date(text), _date(_value(headers, "date")) or dt.datetime.now(dt.UTC)
    return text if modified and _can_be_sent(text) and sent - modified >= dt.timedelta(seconds=1) else None


def confirms(headers: Headers, version: str | None) -> bool:
    """Whether a 304 is of this version, as far as it says: by the ETag, weak or not, else by Last-Modified.

    >>> confirms({"etag": ['W/"7"']}, '"7"'), confirms({"etag": ['"8"']}, '"7"'), confirms({}, '"7"')
    (True, False, True)
    """
    name = "last-modified" if version and _date(version) else "etag"
    said = _value(headers, name)
    return not said or said.removeprefix("W/") == (version or "").removeprefix("W/")


def condition(version: str | None) -> str | None:
    """The request header that asks for anything but this version, as `version` returned it; None where none can."""
    if version is None or not _can_be_sent(version):
        return None
    return f"{'If-Modified-Since' if _date(version) else 'If-None-Match'}: {version}"


def _value(headers: Headers, name: str) -> str:
    """The first value of a header; empty where there is none."""
    return next(iter(headers.get(name, ())), "").strip()


def _can_be_sent(text: str) -> bool:
    return 0 < len(text) <= 500 and text.isascii() and text.isprintable()


def _date(text: str) -> dt.datetime | None:
    """An HTTP date; None for anything else."""
    if not re.match("[A-Za-z]{3,9}, ", text):
        return None
    try:
        date = parsedate_to_datetime(text[:100])
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=dt.UTC)
