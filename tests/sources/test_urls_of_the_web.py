"""Lists and tables of URLs by whole runs, from hosts on the loopback network."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import local, read
from imagefeatures.errors import SettingsError, TooManyRejected
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.sources import UriList
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps import register
from imagefeatures.workers import ThisProcess
from support.disturbed_work import Forbidden
from support.doors import parquet
from support.hostile_http import Site, response, site
from support.photos import fill, jpeg
from support.shared import THIS_PROCESS, MakeRun

GOOD = 5


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("IMAGEFEATURES_HTTP_ALLOW", "127.0.0.1/32")
    photos = {f"/{n} é.jpg".replace(" ", "%20").replace("é", "%C3%A9"): jpeg(n) for n in range(GOOD)}
    answers = {target: response(body=data, headers={"ETag": '"v1"'}) for target, data in photos.items()}
    answers |= {
        "/page.jpg": response(body=b"<html>Sign in</html>"),
        "/secret": response(302, headers={"Location": "http://169.254.169.254/latest/meta-data"}),
        "/ai": response(body=jpeg(9), headers={"X-Robots-Tag": "noai"}),
        "/large.jpg": response(body=bytes(2_000_000)),
    }
    with site("127.0.0.1", answers) as made:
        yield made


@pytest.fixture
def rows(host: Site, tmp_path: Path) -> list[tuple[str, str | None]]:
    """(key, URL) of a table: five photos, one more of a local folder, and what becomes of the others."""
    beside = fill(tmp_path / "beside", {"here.jpg": jpeg(7)})
    return [
        *((f"good {n}", host.url(f"/{n} é.jpg")) for n in range(GOOD)),
        ("local", f"file://{beside}/here.jpg"),
        ("page", host.url("/page.jpg")),
        ("redirected", host.url("/secret")),
        ("opted out", host.url("/ai")),
        ("large", host.url("/large.jpg")),
        ("gone", host.url("/gone.jpg")),
        ("private", "http://127.0.0.9/1.jpg"),
        ("password", "http://me:secret@127.0.0.1/1.jpg"),
        ("no URL", None),
    ]


REASONS = {
    "page": "UNSUPPORTED_FORMAT",
    "redirected": "BLOCKED_ADDRESS",
    "opted out": "OPTED_OUT",
    "large": "TOO_LARGE",
    "gone": "HTTP_REFUSED",
    "private": "BLOCKED_ADDRESS",
    "password": "UNSUPPORTED_URL",
    "no URL": "UNSUPPORTED_URL",
}


def run_of(make_run: MakeRun, folder: Path, rows: list[tuple[str, str | None]]) -> Run:
    keys, urls = zip(*rows, strict=True)
    (folder / "t.parquet").write_bytes(parquet({"id": keys, "photo": urls, "price": range(len(keys))}))
    source = {"kind": "url_table", "table": f"file://{folder}/t.parquet", "url": "photo", "key": "id"}
    limits = {"max_rejected": 1, "max_bytes": 1_000_000}
    return make_run(source, {"shard_images": 4}, label="none", limits=limits)


def test_each_row_of_a_table_is_in_one_table_with_its_key_and_a_second_run_computes_nothing(
    make_run: MakeRun, tmp_path: Path, rows: list[tuple[str, str | None]], settings: Settings
) -> None:
    for work in (THIS_PROCESS, ThisProcess(StepRunner(Forbidden()))):
        run = run_of(make_run, tmp_path, rows)
        local.run_steps(run, work)
        summary = register.register(run.layout.run_file, settings).summary
        features = {row["key"]: row for row in read.table(settings, "photos").to_pylist()}
        rejected = {row["key"]: row["reason"] for row in read.table(settings, "quarantine").to_pylist()}
        assert set(features) == {"local", *(f"good {n}" for n in range(GOOD))}
        assert rejected == REASONS
        assert features["good 3"]["uri"].endswith("/3 é.jpg")
        assert features["good 3"]["etag"] == '"v1"'
    assert summary["reused"] == GOOD + 1


def test_a_password_in_a_url_is_said_in_no_detail(
    make_run: MakeRun, tmp_path: Path, rows: list[tuple[str, str | None]], settings: Settings
) -> None:
    run = run_of(make_run, tmp_path, rows)
    local.run_steps(run, THIS_PROCESS)
    register.register(run.layout.run_file, settings)
    details = [row["detail"] for row in read.table(settings, "quarantine").to_pylist()]
    assert len(details) == len(REASONS)
    assert not [detail for detail in details if "secret" in detail]


def test_a_spent_budget_names_urls_without_what_may_be_secret(make_run: MakeRun, tmp_path: Path) -> None:
    fill(tmp_path, {"list.txt": b"https://me:secret@host/1.jpg?token=secret\nftp://host/2.jpg\n"})
    run = make_run({"kind": "uri_list", "uri": f"file://{tmp_path}/list.txt"}, label="none")
    with pytest.raises(TooManyRejected, match=r"first: .*https://host/1\.jpg\?…") as refused:
        local.run_steps(run, THIS_PROCESS)
    assert "secret" not in str(refused.value)


def test_equal_bytes_name_the_other_url_without_what_may_be_secret(
    make_run: MakeRun, tmp_path: Path, settings: Settings, host: Site
) -> None:
    host.behaviours |= {f"/same?token=secret{n}": response(body=jpeg(1)) for n in range(2)}
    fill(tmp_path, {"list.txt": "\n".join(host.url(f"/same?token=secret{n}") for n in range(2)).encode()})
    source = {"kind": "uri_list", "uri": f"file://{tmp_path}/list.txt"}
    run = make_run(source, label="none", duplicates="reject", limits={"max_rejected": 1})
    local.run_steps(run, THIS_PROCESS)
    register.register(run.layout.run_file, settings)
    (row,) = read.table(settings, "quarantine").to_pylist()
    assert row["detail"] == f"same bytes as {host.url('/same')}?…"


def test_without_the_client_a_list_with_a_url_is_refused_as_it_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycurl", None)
    lists = fill(tmp_path, {"web.txt": b"https://example.org/1.jpg\n", "local.txt": b"file:///1.jpg\n"})
    for name, refused in (("web", True), ("local", False)):
        source: Any = UriList(kind="uri_list", uri=f"file://{lists}/{name}.txt")
        if refused:
            with pytest.raises(SettingsError, match=r"pip install 'imagefeatures\[http\]'$"):
                list(source.items())
        else:
            assert len(list(source.items())) == 1
