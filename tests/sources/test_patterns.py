"""Patterns mean names, paths below the source, or folders; docs/configuration.md says which, by these examples."""

from __future__ import annotations

import re

import pytest

from imagefeatures.settings import REPOSITORY
from imagefeatures.sources import patterns
from support.snippets import plain, section

CONFIGURATION = REPOSITORY / "docs" / "configuration.md"


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*", "a.jpg", True),
        ("*.jpg", "a/b/c.jpg", True),
        ("*.jpg", "c.JPG", False),
        ("*.jpg", "c.jpg/d.png", False),
        ("?.jpg", "a/bc.jpg", False),
        ("[!.]*.jpg", "a/.b.jpg", False),
        ("[!.]*.jpg", ".a/b.jpg", True),
        ("*.jpg", "new\nline.jpg", True),
        ("*.jpg", "a\udcff.jpg", True),
        ("a/*.jpg", "a/1.jpg", True),
        ("a/*.jpg", "a/b/1.jpg", True),  # * stands for slashes too
        ("a/*.jpg", "b/a/1.jpg", False),
        ("*/a/*.jpg", "a/1.jpg", False),
        ("**/a/*.jpg", "a/1.jpg", True),
        ("**/a/*.jpg", "x/y/a/1.jpg", True),
        ("**/a/*.jpg", "xa/1.jpg", False),
        ("a/**/1.jpg", "a/1.jpg", True),
        ("a/**/1.jpg", "a/b/c/1.jpg", True),
        ("**/a/**/1.jpg", "x/a/1.jpg", True),
        ("/1.jpg", "1.jpg", True),
        ("/1.jpg", "a/1.jpg", False),
        ("./1.jpg", "1.jpg", True),
        ("/a/*", "a/1.jpg", True),
        ("a/", "a/1.jpg", True),
        ("a/", "x/a/b/1.jpg", True),
        ("a/", "xa/1.jpg", False),
        ("a/", "a", False),
        ("t*s/", "thumbs/1.jpg", True),
        ("t*s/", "t/holds/1.jpg", False),  # neither folder is called so
        ("2026/raw/", "2026/raw/x/1.jpg", True),
        ("2026/raw/", "x/2026/raw/1.jpg", False),
        ("**/raw/", "x/2026/raw/1.jpg", True),
        ("closed", "a/closed/", True),  # a whole folder, listed for what it is
        ("closed/", "a/closed/", True),
        ("a/closed", "a/closed/", True),
        ("a/closed", "a/other/", False),
        ("a/closed/", "a/closed/", True),
        ("@eaDir/", "a/@eaDir/1.jpg/SYNO.jpg", True),
        ("a.b", "aXb", False),
        ("a+(b)|c", "a+(b)|c", True),
        ("\u00e9t\u00e9/*", "e\u0301te\u0301/1.jpg", True),  # as macOS writes it
        ("e\u0301?.jpg", "\u00e91.jpg", True),
        ("?.jpg", "e\u0301.jpg", True),
    ],
)
def test_what_fits(pattern: str, path: str, expected: bool) -> None:
    assert patterns.fits(path, (pattern,)) is expected
    assert patterns.fits(path, ("nothing", "at/all", "none/", pattern)) is expected


def test_case_counts_unless_it_is_said_not_to() -> None:
    for pattern, path in [("*.jpg", "A.JPG"), ("Été/*", "ÉTÉ/1.jpg"), ("thumbs/", "x/Thumbs/1.jpg")]:
        assert not patterns.fits(path, (pattern,))
        assert patterns.fits(path, (pattern,), ignore_case=True)


def test_a_long_name_takes_no_long_time() -> None:
    assert not patterns.fits("a" * 1000 + "b", ("*a*a*a*a*a*a*a*a*a*c",))
    assert not patterns.fits("/".join("a" * 500), ("**/**/**/**/a*a*a*a*a*c",))


@pytest.mark.parametrize(
    "path",
    [
        ".DS_Store",
        "a/.DS_Store",
        "a/._1.jpg",
        "Thumbs.db",
        "thumbs.db",
        "a/desktop.ini",
        "a/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg",
        "x/.ipynb_checkpoints/1-checkpoint.jpg",
        "__MACOSX/a/1.jpg",
        "_SUCCESS",
        "day/_SUCCESS",
        "day_$folder$",
        "a/b_$folder$",
    ],
)
def test_what_systems_and_tools_leave_is_excluded_by_default(path: str) -> None:
    assert patterns.fits(path, patterns.DEFAULT_EXCLUDES)


@pytest.mark.parametrize(
    "path", ["_1.jpg", ".1.jpg", "a_SUCCESS", "_SUCCESS/1.jpg", "eaDir/1.jpg", "MACOSX/1.jpg", "$folder$.jpg", "1._jpg"]
)
def test_what_only_looks_like_it_is_not(path: str) -> None:
    assert not patterns.fits(path, patterns.DEFAULT_EXCLUDES)


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("", "fits nothing"),
        ("//", "fits nothing"),
        ("s3://b/*.jpg", "leave out scheme and folder"),
        ("../*.jpg", "has .. in its path"),
        ("*.{jpg,png}", "{jpg,png} is no sign of a pattern: write a list of patterns"),
        ("**/" * 5 + "x", "more than 4 times **/"),
    ],
)
def test_a_pattern_that_cannot_mean_what_it_says_is_refused(pattern: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        patterns.check(pattern)


def test_four_times_any_folders_is_a_pattern_still() -> None:
    assert patterns.check("**/" * 4 + "x") == "**/**/**/**/x"


def test_the_examples_of_the_documents_are_so() -> None:
    (table,) = section(CONFIGURATION, "Patterns").tables
    assert len(table) >= 8
    for pattern, fitting, other in (re.findall("`([^`]+)`", " ".join(row))[:3] for row in table):
        assert patterns.fits(fitting, (pattern,)), (pattern, fitting)
        assert not patterns.fits(other, (pattern,)), (pattern, other)


def test_the_documents_name_every_default_exclude() -> None:
    text = section(CONFIGURATION, "Patterns").text
    for pattern in patterns.DEFAULT_EXCLUDES:
        assert f"`{pattern}`" in text, pattern
    assert plain("`default_excludes: false`") in plain(text)
