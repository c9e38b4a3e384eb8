"""The files of one run that somebody looks at again and again: what cannot change is read once.

A listing is whole once it is there, and the first receipt of a shard counts. So a later look lists a step's folder, and
reads only the receipts that have come since. It reads no image and no data file.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from imagefeatures import manifest, shards
from imagefeatures.layout import Layout
from imagefeatures.manifest import Listing
from imagefeatures.steps import SPARK_STEPS


@dataclass
class FollowedRun:
    """One thread at a time looks at it."""

    layout: Layout
    _listing: Listing | None = None
    _receipts: dict[str, dict[int, shards.Receipt]] = field(default_factory=lambda: {step: {} for step in SPARK_STEPS})

    def listing(self) -> Listing:
        """Raises as `manifest.listing_of`."""
        self._listing = self._listing or manifest.listing_of(self.layout)
        return self._listing

    def receipts(self, step: str) -> list[shards.Receipt]:
        """The receipts of a step, in ascending order of shards. A finished step is not looked at again.

        Those that were read stay when register removes the folder meanwhile.
        """
        known = self._receipts[step]
        if self._listing is None or len(known) < self._listing.shards:
            known |= {receipt.shard: receipt for receipt in shards.read_receipts(self.layout, step, known)}
        return [known[shard] for shard in sorted(known)]

    @property
    def receipts_known(self) -> int:
        """How many there are of these. Any thread may ask."""
        return sum(len(of_step) for of_step in self._receipts.values())

    def known_receipts(self) -> list[shards.Receipt]:
        """Those of all steps, as far as they were read."""
        return [receipt for of_step in self._receipts.values() for receipt in of_step.values()]
