"""What a picture can write: short, on one line, and only in letters that some font has."""

from __future__ import annotations

from imagefeatures.lettering import FAMILY, families, lettered, shortened


def test_shortening_keeps_both_ends() -> None:
    for most in range(4, 12):
        short = shortened("abcdefghijkl", most)
        assert len(short) == most
        assert short[0] == "a"
        assert short[-1] == "l"
    assert shortened("abcdefghijkl", 12) == "abcdefghijkl"


def test_letters_that_no_font_has_are_written_as_code_points() -> None:
    assert lettered("fig 写真\u202e\n2", [FAMILY]) == "fig \\u5199\\u771f\\u202e 2"
    assert lettered("Ω ж ש ت é ✓", [FAMILY]) == "Ω ж ש ت é ✓"


def test_fonts_are_added_only_for_letters_that_are_missing() -> None:
    assert families(["plain", "שלום"]) == [FAMILY]
    fonts = families(["写"])
    assert fonts[0] == FAMILY
    assert (lettered("写", fonts) == "写") == (len(fonts) > 1)  # as the machine has such a font, or none
