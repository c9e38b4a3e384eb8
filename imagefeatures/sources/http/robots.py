"""What the robots.txt of an origin allows: RFC 9309, read by Protego."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason
from imagefeatures.sources.http.headers import BOT
from imagefeatures.sources.http.options import Response
from imagefeatures.sources.http.urls import Url

if TYPE_CHECKING:
    from protego import Protego

MOST_RULES = 100_000
"""Lines by user agents among them: Protego makes a rule for each pair, and a file of 500 kB can have 10⁸ of them."""

_AGENT = re.compile(r"\s*user[\s-]*agent", re.IGNORECASE)
"""How a line of a user agent begins, in each way in which Protego takes it."""

_VERSION = re.compile(rf"(\s*user[\s-]*agent[\s:]*{BOT})/.*", re.IGNORECASE)
"""A line that names this program with a version, as its requests do. Protego takes both for the name."""


class Robots:
    """The rules of one origin. crawl_delay: seconds from one request to the next that it asks for; 0 for none."""

    def __init__(self, found: Response | Rejected, host: str) -> None:
        """found: what became of the request for its robots.txt."""
        self.crawl_delay = 0.0
        self._host = host
        self._rules: Protego | None = None
        self._refusal: Rejected | None = None
        if isinstance(found, Rejected):
            # No such file, or none that may be read: everything is allowed. A host that fails allows nothing.
            if found.reason not in (Reason.HTTP_REFUSED, Reason.EMPTY_OBJECT, Reason.TOO_MANY_REDIRECTS):
                self._refusal = Rejected(found.reason, f"its robots.txt cannot be read: {found.detail}")
            return
        text = found.data.decode("utf-8-sig", "replace")  # with a mark of UTF-8 no first group would be one
        lines = text.splitlines()  # as Protego has them: a carriage return alone ends one too
        agents = sum(1 for line in lines if _AGENT.match(line))
        if agents > 1 and agents * len(lines) > MOST_RULES:
            self._refusal = Rejected(Reason.FETCH_FAILED, f"{host}: its robots.txt has more than {MOST_RULES:,} rules")
            return
        from protego import Protego

        # Only from a line's beginning: a search would look at each place of it, and a line can have 500 kB.
        named = (versioned[1] if (versioned := _VERSION.match(line)) else line for line in lines)
        self._rules = Protego.parse("\n".join(named))
        self.crawl_delay = self._rules.crawl_delay(BOT) or 0.0

    def refusal(self, url: Url) -> Rejected | None:
        """Why a URL of this origin may not be fetched; None where it may."""
        if self._refusal or self._rules is None or self._rules.can_fetch(url.text, BOT):
            return self._refusal
        return Rejected(Reason.OPTED_OUT, f"the robots.txt of {self._host} disallows it")
