"""Mutated images: a few thousand of those that `make fuzz` tries."""

from __future__ import annotations

import pytest

from imagefeatures.limits import FORMATS
from imagefeatures.reasons import Reason
from support.fuzz_images import fuzz, mutated, originals

MUTATIONS = 2_000


def test_mutated_images_give_a_result_or_a_reason_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    findings = fuzz(seed=0, first=0, count=MUTATIONS)
    with capsys.disabled():
        print(f" {findings.runs - len(findings.bad):,}/{MUTATIONS:,} mutations answered ", end="")
    assert findings.bad == []
    assert findings.runs == findings.ends.total() == MUTATIONS
    assert set(findings.ends) <= {*Reason, "passed"}
    assert {"passed", Reason.TRUNCATED, Reason.CORRUPT, Reason.UNSUPPORTED_MODE} <= set(findings.ends)


def test_a_mutation_is_made_of_its_seed_and_number_alone() -> None:
    assert mutated(3, 14) == mutated(3, 14)
    assert len({mutated(seed, number)[1] for seed in range(3) for number in range(100)}) > 290


def test_every_allowed_format_is_mutated() -> None:
    names = " ".join(name for name, _ in originals()).upper()
    assert all(kind in names for kind in FORMATS)
