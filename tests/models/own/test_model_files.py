"""A user's model file is read within bounds, and known by a digest that sha256sum gives too."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from imagefeatures.errors import ModelMismatch
from imagefeatures.models.own import files


def test_a_file_is_known_by_the_digest_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"one")
    found = files.read(f"file://{tmp_path}/a.onnx", "onnx")
    assert (found.sha256, found.size, found.main) == (hashlib.sha256(b"one").hexdigest(), 3, "model.onnx")
    assert files.read(f"file://{tmp_path}/a.onnx", "onnx", found.sha256) == found
    with pytest.raises(ModelMismatch, match=rf"a\.onnx has SHA-256 {found.sha256}, and {'0' * 64} is expected$"):
        files.read(f"file://{tmp_path}/a.onnx", "onnx", "0" * 64)


def test_an_ir_is_two_files_whatever_they_are_called(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / f"{name}.xml").write_bytes(b"<net/>")
        (tmp_path / f"{name}.bin").write_bytes(b"weights")
    one, other = (files.read(f"file://{tmp_path}/{name}.xml", "openvino") for name in ("one", "other"))
    assert one.files == {"model.xml": b"<net/>", "model.bin": b"weights"}
    assert one.sha256 == other.sha256
    (tmp_path / "other.bin").write_bytes(b"Weights")
    assert files.read(f"file://{tmp_path}/other.xml", "openvino").sha256 != one.sha256
    (tmp_path / "other.bin").unlink()
    with pytest.raises(ModelMismatch, match=r"other\.xml: there is no .*other\.bin$"):
        files.read(f"file://{tmp_path}/other.xml", "openvino")


def test_a_folder_is_known_by_what_sha256sum_prints_of_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "birds"
    (folder / "variables").mkdir(parents=True)
    for name in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        (folder / name).write_bytes(name.encode())
    found = files.read(f"file://{folder}/", "savedmodel")
    assert (len(found.files), found.main) == (3, ".")
    command = "find * -type f | LC_ALL=C sort | xargs sha256sum | sha256sum"
    printed = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=True).stdout
    assert found.sha256 == printed.split()[0]
    found.write(tmp_path / "copy")
    assert (tmp_path / "copy/variables/variables.index").read_bytes() == b"variables/variables.index"
    shutil.rmtree(folder)
    with pytest.raises(ModelMismatch, match=r"birds/: there is no "):
        files.read(f"file://{folder}/", "savedmodel")


def test_what_is_too_much_for_a_model_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}").write_bytes(bytes(100))
    monkeypatch.setattr(files, "MOST_BYTES", 400)
    assert files.read(f"file://{folder}/", "savedmodel").size == 400
    monkeypatch.setattr(files, "MOST_BYTES", 399)
    with pytest.raises(ModelMismatch, match=r"many/3 has 100 bytes; a model may have 399$"):
        files.read(f"file://{folder}/", "savedmodel")
    monkeypatch.setattr(files, "MOST_FILES", 3)
    with pytest.raises(ModelMismatch, match="more than 3 files"):
        files.read(f"file://{folder}/", "savedmodel")


def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatch, match=rf"^model: file://{tmp_path}/a\.onnx: there is no "):
        files.read(f"file://{tmp_path}/a.onnx", "onnx")
    (tmp_path / "b.onnx").mkdir()
    with pytest.raises(ModelMismatch, match=r"^model: file://.*b\.onnx: "):
        files.read(f"file://{tmp_path}/b.onnx", "onnx")
