"""A container among others that its store refuses is a row; the only one is told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imagefeatures.errors import Rejected, StoreRefused
from imagefeatures.sources import ParquetBytes, Tar
from imagefeatures.storage.local import LocalStore
from support.doors import parquet, tar
from support.photos import fill, jpeg

KINDS: dict[str, tuple[Any, bytes]] = {
    "tar": (Tar, tar([("x.jpg", jpeg(1))])),
    "parquet_bytes": (ParquetBytes, parquet({"image": [jpeg(1)]})),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def refuse(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The store refuses to give what lies under this name, as for one object that a policy denies."""
    real = LocalStore.read_part

    def read_part(store: LocalStore, path: str, start: int, length: int) -> bytes:
        if name in path:
            raise StoreRefused(f"file://{path}: the store refuses (AccessDenied)")
        return real(store, path, start, length)

    monkeypatch.setattr(LocalStore, "read_part", read_part)


def files(tmp_path: Path, kind: str) -> Path:
    return fill(tmp_path, {f"in/{name}.{kind.partition('_')[0]}": KINDS[kind][1] for name in "abc"}) / "in"


def test_one_of_several_is_a_row_before_and_after_the_listing(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = KINDS[kind][0](kind=kind, uri=f"file://{files(tmp_path, kind)}/")
    items = list(source.items())
    refuse(monkeypatch, "/b.")
    source.check()
    listed = [str(item.rejected.reason) if item.rejected else None for item in source.items()]
    assert listed == [None, "NOT_READABLE", None]
    first, lost, last = source.fetch(items, 1 << 20)
    assert (first, last) == (jpeg(1), jpeg(1))
    assert isinstance(lost, Rejected)
    assert lost.detail.endswith("the store refuses (AccessDenied), while the store gives other objects")


def test_all_of_them_or_the_only_one_end_the_run(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = files(tmp_path, kind)
    refuse(monkeypatch, ".")
    with pytest.raises(StoreRefused, match="AccessDenied"):
        list(KINDS[kind][0](kind=kind, uri=f"file://{folder}/").items())
    monkeypatch.undo()
    refuse(monkeypatch, "/b.")
    (only,) = folder.glob("b.*")
    with pytest.raises(StoreRefused, match="AccessDenied"):
        list(KINDS[kind][0](kind=kind, uri=f"file://{only}").items())
