"""URIs of a table's files as other programs write them, and a local file that is written as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagefeatures import storage
from imagefeatures.catalog import file_io
from imagefeatures.catalog.file_io import LAKE, LakeFileIO
from imagefeatures.errors import StoreRefused
from imagefeatures.settings import Settings

S3 = {"s3.region": "us-east-1", "s3.endpoint": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("location", "uri"),
    [
        ("file:/lake/a", "file:///lake/a"),
        ("file:///lake/a", "file:///lake/a"),
        ("/lake/a", "file:///lake/a"),
        ("s3://b/a", "s3://b/a"),
        ("s3a://b/a", "s3://b/a"),
        ("s3n://b/a", "s3://b/a"),
        ("hdfs://h/a", "hdfs://h/a"),
    ],
)
def test_a_uri_is_taken_for_what_it_is_however_it_is_written(location: str, uri: str) -> None:
    assert file_io.plain_uri(location) == uri
    files = LakeFileIO({LAKE: "file:///lake", **S3})
    if uri.startswith("hdfs"):
        with pytest.raises(StoreRefused, match=r"^hdfs://h/a: a table names a file of hdfs://; only file:// and s3:"):
            files.new_input(location)
    else:
        assert files.new_input(location).location == location


def test_checksums_lie_beside_a_file_under_its_name() -> None:
    assert file_io.checksums_of("file:///lake/.b/a.parquet") == "file:///lake/.b/.a.parquet.crc"
    names = (".a.parquet.crc", "a.parquet.crc", ".a.parquet", ".crc/a")
    assert [file_io.is_checksums(f"file:///lake/{name}") for name in names] == [True, False, False, False]


def test_of_properties_those_are_taken_that_say_how_to_reach_s3() -> None:
    given = {"client.region": "r", "s3.signer": "x", "s3.retry-strategy-impl": "x", "uri": "x", "py-io-impl": "x", **S3}
    assert file_io.store_properties(given) == {"client.region": "r", **S3}
    assert LakeFileIO({LAKE: "s3://b/lake", **given}).properties == {LAKE: "s3://b/lake", "client.region": "r", **S3}


def test_a_file_of_a_store_is_written_by_the_stores_own_means() -> None:
    lake = LakeFileIO({LAKE: "s3://b/lake", **S3})
    file = lake.new_output("s3a://b/lake/warehouse/a")
    assert (file.location, isinstance(file, file_io._LocalFile)) == ("s3a://b/lake/warehouse/a", False)


@pytest.fixture
def files(settings: Settings) -> LakeFileIO:
    return LakeFileIO({LAKE: settings.lake})


@pytest.fixture
def uri(settings: Settings) -> str:
    return f"{settings.lake}/warehouse/features/x/metadata/a"


def test_a_file_is_deleted_by_its_uri_or_by_itself(files: LakeFileIO, uri: str, tmp_path: Path) -> None:
    for name in (files.new_input, files.new_output, str):
        storage.write(uri, b"x")
        files.delete(name(uri))
        assert not Path(uri.removeprefix("file://")).exists()
    outside = tmp_path / "outside"
    outside.write_bytes(b"x")
    with pytest.raises(StoreRefused, match="are written to"):
        files.delete(files.new_input(f"file://{outside}"))
    assert outside.exists()


def test_a_file_is_written_over_only_where_that_is_asked_for(files: LakeFileIO, uri: str) -> None:
    with files.new_output(uri).create(overwrite=True) as stream:
        stream.write(b"first")
    with files.new_output(uri).create(overwrite=True) as stream:
        stream.write(b"second")
    assert storage.read(uri) == b"second"
    with pytest.raises(FileExistsError, match=r"/a exists already$"):
        files.new_output(uri).create()


def test_a_draft_says_what_it_holds_and_is_written_once(
    files: LakeFileIO, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(storage, "write", lambda _, data: written.append(data))
    stream = files.new_output(uri).create()
    assert isinstance(stream, file_io._Draft)
    assert (stream.write(b"who"), stream.tell(), stream.closed) == (3, 3, False)
    assert (stream.write(b"le"), stream.tell()) == (2, 5)
    stream.close()
    stream.close()
    assert (written, stream.closed) == ([b"whole"], True)
