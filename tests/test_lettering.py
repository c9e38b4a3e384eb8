"""What a picture can write: short, on one line, and only in letters that some font has."""

from __future__ import annotations

import matplotlib
import pytest
from matplotlib import font_manager

from imagefeatures.lettering import FAMILY, families, lettered, shortened


def test_shortening_keeps_both_ends() -> None:
    for most in range(4, 12):
        short = shortened("abcdefghijkl", most)
        assert len(short) == most
        assert short[0] == "a"
        assert short[-1] == "l"
    assert shortened("abcdefghijkl", 12) == "abcdefghijkl"
    assert shortened("abcdefghijklmnop", 12) == "abcdefg…mnop"  # two fifths of what is kept are the end


def test_letters_that_no_font_has_are_written_as_code_points() -> None:
    assert lettered("fig 写真\u202e\n2", [FAMILY]) == "fig \\u5199\\u771f\\u202e 2"
    assert lettered("Ω ж ש ت é ✓", [FAMILY]) == "Ω ж ש ت é ✓"


def test_fonts_are_added_only_for_letters_that_are_missing() -> None:
    assert families(["plain", "שלום"]) == [FAMILY]
    fonts = families(["写"])
    assert fonts[0] == FAMILY
    assert (lettered("写", fonts) == "写") == (len(fonts) > 1)  # as the machine has such a font, or none


@pytest.mark.parametrize(
    ("texts", "added"),
    [
        (["\u0359a", "plain"], ["STIXGeneral"]),
        (["\u0359", "\u2335"], ["DejaVu Sans Mono", "STIXGeneral"]),
        (["\u2927"], ["DejaVu Serif"]),  # STIXGeneral has it too
        (["\u2335\u27bf"], ["DejaVu Sans Mono"]),  # the bold font alone has the second
        (["\U00030000"], []),
        (["\U00030000\u0359"], ["STIXGeneral"]),
        ([], []),
    ],
)
def test_of_the_fonts_that_matplotlib_ships_those_are_added_that_have_a_missing_letter(
    texts: list[str], added: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = font_manager.fontManager
    shipped = [font for font in manager.ttflist if font.fname.startswith(matplotlib.get_data_path())]
    shipped.sort(key=lambda font: (not font.name.startswith("Last"), font.name, len(font.fname), font.fname))
    monkeypatch.setattr(manager, "ttflist", shipped)
    assert families(texts) == [FAMILY, *added]
