"""Labels and file names in a form that a picture can show: short, on one line, in glyphs of installed fonts."""

from __future__ import annotations

from collections.abc import Iterable

FAMILY = "DejaVu Sans"
"""matplotlib ships it: Latin, Greek, Cyrillic, Hebrew, Arabic, and more. Other scripts need an installed font."""

NO_FONTS = ("Last Resort",)
"""The names of fonts that draw a box for every character begin with one of these."""


def shortened(text: str, most: int) -> str:
    """The text in at most `most` characters. The middle is left out: names often differ only at their end.

    >>> shortened("holiday pictures 2024 (1)", 16), shortened("fig", 16)
    ('holiday p…24 (1)', 'fig')
    """
    if len(text) <= most:
        return text
    end = (most - 1) * 2 // 5
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def families(texts: Iterable[str]) -> list[str]:
    """Font families, FAMILY first, that together have every character of the texts that an installed font has."""
    from matplotlib import font_manager

    chosen = [FAMILY]
    missing = _characters(texts) - _glyphs(font_manager.findfont(FAMILY))
    for font in font_manager.fontManager.ttflist:
        if not missing:
            break
        if font.name not in chosen and not font.name.startswith(NO_FONTS) and (new := missing & _glyphs(font.fname)):
            chosen.append(font.name)
            missing -= new
    return chosen


def lettered(text: str, fonts: list[str]) -> str:
    """The text on one line; characters that none of the font families has are written as their code points."""
    from matplotlib import font_manager

    glyphs = set().union(*(_glyphs(font_manager.findfont(font)) for font in fonts))
    return "".join(c if c.isprintable() and c in glyphs else ascii(c)[1:-1] for c in " ".join(text.split()))


def _characters(texts: Iterable[str]) -> set[str]:
    return {c for text in texts for c in text if c.isprintable()}


def _glyphs(path: str) -> set[str]:
    from matplotlib import ft2font

    return {chr(code) for code in ft2font.FT2Font(path).get_charmap()}
