"""The Markdown documents as data: sections, tables, links, and the code in them."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

from imagefeatures.settings import REPOSITORY

DOCUMENTS = sorted(
    path for path in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")] if not path.name.startswith(".")
)

_FENCE = re.compile(r"( *)```(\w*)")
_HEADING = re.compile(r"#+ (.+)")
_CELL = re.compile(r"(?<!\\)\|")
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)", re.DOTALL)


@dataclass
class Section:
    """A heading and what follows it up to the next heading. text: the prose and tables, without fenced code.

    blocks: (language, code) of each fenced block, the code without its indentation.
    """

    title: str
    text: str = ""
    blocks: list[tuple[str, str]] = field(default_factory=list)

    @property
    def tables(self) -> list[list[list[str]]]:
        """The section's tables, each as rows of cells, without the header and the line below it."""
        lines = self.text.splitlines()
        starts = [
            index for index, line in enumerate(lines) if re.fullmatch(r"[|\s:-]*-{3}[|\s:-]*", line) and "|" in line
        ]
        tables = []
        for start in starts:
            rows = []
            for line in lines[start + 1 :]:
                if not line.startswith("|"):
                    break
                rows.append([cell.strip() for cell in _CELL.split(line)[1:-1]])
            tables.append(rows)
        return tables


def sections(path: Path) -> list[Section]:
    """A document's sections, in order; the text before the first heading has the title ""."""
    parts = [Section("")]
    fence: list[str] | None = None
    language = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        mark = _FENCE.fullmatch(line)
        if mark and fence is None:
            fence, language = [], mark[2]
        elif mark:
            parts[-1].blocks.append((language, textwrap.dedent("\n".join(fence or [])) + "\n"))
            fence = None
        elif fence is not None:
            fence.append(line)
        elif heading := _HEADING.fullmatch(line):
            parts.append(Section(plain(heading[1])))
        else:
            parts[-1].text += line + "\n"
    assert fence is None, f"{path}: a fence is not closed"
    return parts


def section(path: Path, title: str) -> Section:
    """The section with that title."""
    (match,) = [part for part in sections(path) if part.title == title]
    return match


def plain(text: str) -> str:
    """The text as a reader sees it: without code marks, link targets, emphasis and escapes."""
    return _LINK.sub(r"\1", text).replace("`", "").replace("**", "").replace("\\", "").strip()


def codes(path: Path) -> list[str]:
    """The inline code in a document's prose and tables."""
    return [code for part in sections(path) for code in re.findall(r"`([^`\n]+)`", part.text)]


def links(path: Path) -> list[str]:
    """The targets of a document's links and images."""
    return [target for part in sections(path) for _, target in _LINK.findall(part.text)]


def anchors(path: Path) -> set[str]:
    """The link fragments of a document's headings."""
    return {re.sub(r"[^\w -]", "", part.title.lower()).replace(" ", "-") for part in sections(path)}
