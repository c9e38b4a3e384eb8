"""The option --uris: a file with a URI on each line, and files that are none."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from imagefeatures.commands import uri_lists
from imagefeatures.errors import ParamsError


def test_the_option_is_a_path_or_nothing() -> None:
    parser = argparse.ArgumentParser()
    uri_lists.add_argument(parser)
    assert parser.parse_args([]).uris is None
    assert parser.parse_args(["--uris", "a.txt"]).uris == Path("a.txt")
    assert uri_lists.lines(None) is None


def test_every_line_is_given_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfs3://b/1.jpg\r\n\n s3://b/\xc3\xa4.jpg\n")
    assert uri_lists.lines(tmp_path / "a.txt") == ["s3://b/1.jpg", "", " s3://b/ä.jpg", ""]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file or directory"),
        (b"s3://b/\xff.jpg", "it is no text in UTF-8"),
        (b" \n\t\n", "it has no URI; without --uris every object that fits is taken"),
    ],
)
def test_a_file_that_is_no_list_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "a.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ParamsError) as raised:
        uri_lists.lines(path)
    assert str(raised.value) == f"--uris: {path}: {said}"
