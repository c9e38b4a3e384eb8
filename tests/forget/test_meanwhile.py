"""A publication is refused where images were forgotten while it was made, or files of it are gone."""

from __future__ import annotations

from pathlib import Path

from imagefeatures.forget import deny, meanwhile


def test_a_publication_of_the_same_list_and_of_files_that_are_there_is_made(tmp_path: Path) -> None:
    lake, files = f"file://{tmp_path}", [f"file://{tmp_path}/{name}.parquet" for name in "ab"]
    for name in "ab":
        (tmp_path / f"{name}.parquet").touch()
    assert meanwhile.refusal(lake, deny.state(lake), files) is None
    assert meanwhile.refusal(lake, None, files) is None


def test_another_state_of_the_list_refuses_it_unless_none_is_known(tmp_path: Path) -> None:
    lake = f"file://{tmp_path}"
    before = deny.state(lake)
    deny.add(lake, "one", ["ab"], [])
    assert meanwhile.refusal(lake, before, []) == (
        f"{lake}: images were forgotten while the publication was made; try again"
    )
    assert meanwhile.refusal(lake, None, []) is None


def test_a_file_that_is_gone_refuses_it_by_name(tmp_path: Path) -> None:
    lake, files = f"file://{tmp_path}", [f"file://{tmp_path}/{name}.parquet" for name in "ab"]
    (tmp_path / "a.parquet").touch()
    assert meanwhile.refusal(lake, deny.state(lake), files) == (
        f"{files[1]}: was deleted before it was published, as `forget` does; try again"
    )
