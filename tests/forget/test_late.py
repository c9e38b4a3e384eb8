"""A run that holds an image which was forgotten after its fetch leaves nothing of itself, and all else stays."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from imagefeatures import storage
from imagefeatures.errors import AuditFailed
from imagefeatures.forget import deny, late
from imagefeatures.layout import kept_rejects
from imagefeatures.local import run_steps
from imagefeatures.settings import Settings
from support.photos import fill, jpeg
from support.shared import THIS_PROCESS, MakeRun


def test_of_a_run_that_holds_one_its_files_and_the_kept_bytes_go(
    make_run: MakeRun, settings: Settings, tmp_path: Path
) -> None:
    run = make_run(fill(tmp_path / "photos", {"a.jpg": jpeg(1), "b.jpg": jpeg(2)}))
    run_steps(run, THIS_PROCESS)
    audit = late.audited(run)
    assert audit.listed == 2
    (file,) = audit.files["photos"]
    folder, _, name = file.rpartition("/")
    other_run = f"{folder}/{name.replace(run.run_id, '20200101T000000-0')}"
    assert other_run != file
    image = hashlib.sha256(jpeg(1)).hexdigest()
    rejects = f"{kept_rejects(run.lake)}/photos/{run.partition}/CORRUPT"
    for uri in (other_run, f"{rejects}/{image}", f"{rejects}/{'f' * 64}"):
        storage.write(uri, b"x")
    deny.add(settings.lake, "one", [image], [])
    with pytest.raises(AuditFailed, match="holds an image that was forgotten after its fetch"):
        late.audited(run)
    assert [found.uri for found in storage.list_objects(folder)] == [other_run]
    assert [found.uri for found in storage.list_objects(rejects)] == [f"{rejects}/{'f' * 64}"]
    assert list(storage.list_objects(run.layout.run)) == []
