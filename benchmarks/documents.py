"""Tables of figures in the documents, between two comments that say which command wrote them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def put(document: Path, begin: str, end: str, table: Iterable[str]) -> None:
    """Replace what stands between the lines begin and end of a document by a table's lines."""
    before, _, rest = document.read_text(encoding="utf-8").partition(begin)
    document.write_text(before + begin + "\n".join(table) + "\n" + end + rest.partition(end)[2], encoding="utf-8")
