"""Fetching from S3: which client reads an object, how both are configured, and which bytes are accepted."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ipaddress
import logging
import ssl
import threading
import zlib
from pathlib import Path
from urllib.parse import unquote

import pytest

from imagefeatures import storage
from imagefeatures.errors import StoreError, StoreRefused
from imagefeatures.storage import ObjectChanged, ObjectMissing, StoredObject, bulk, s3_responses
from imagefeatures.storage import s3 as s3_store
from support.fault_proxy import DRIPS, STALLED, Plan, fault_proxy
from support.scripted_store import ScriptedStore, no, scripted_store
from support.shared import AWS, BUCKET

WHOLE = (200, {"ETag": '"v1"'}, b"x")


def listed(key: str, size: int = 1, etag: str = "v1") -> StoredObject:
    return StoredObject(f"s3://{BUCKET}/{key}", size, etag)


def clients(store: ScriptedStore) -> list[str]:
    """The client of each request."""
    return ["boto3" if "Boto3" in headers["User-Agent"] else "obstore" for headers in store.headers]


# The client that reads an object


CHARACTERS = [*map(chr, range(1, 128)), "\x80", "\xff", "\u0301", "\u2028", "\ufeff", "\ufffe", "\U0001f600"]
SLASHES = [
    "/x",
    "//x",
    "x/",
    "x//",
    "a//x",
    ".",
    "..",
    "./x",
    "../x",
    "x/.",
    "x/..",
    "a/./x",
    "a/../x",
    "a/...",
    "%2Fx",
]
FORMS = ("{}", "a{}b", "d/{}/e")
ODD_KEYS = sorted({form.format(character) for form in FORMS for character in CHARACTERS} - {"/"} | {*SLASHES})


def test_every_key_is_asked_for_byte_for_byte(scripted: ScriptedStore) -> None:
    scripted.always = WHOLE
    fetched = list(storage.fetch_all([listed(key) for key in ODD_KEYS]))
    assert fetched == [b"x"] * len(ODD_KEYS)
    keys = sorted(unquote(path.removeprefix(f"/{BUCKET}/"), errors="strict") for path in scripted.paths)
    assert keys == ODD_KEYS  # each once: obstore gets no key that it would alter
    assert set(clients(scripted)) == {"boto3", "obstore"}


@pytest.mark.parametrize(
    "key", ["a.jpg", "é 1+%20#?&=.jpg", "e\u0301", "emoji \U0001f600", "a%2Fb", "a b/ c ", "x" * 1024]
)
def test_common_keys_go_by_obstore(scripted: ScriptedStore, key: str) -> None:
    scripted.always = WHOLE
    assert storage.fetch(listed(key)) == b"x"
    assert clients(scripted) == ["obstore"]


@pytest.mark.parametrize("key", ["new\nline", "tab\t", "\x7f", "folder/", "/a", "a//b", "./a", "a/../b"])
def test_keys_that_obstore_refuses_or_alters_go_by_boto3(scripted: ScriptedStore, key: str) -> None:
    scripted.always = WHOLE
    assert storage.fetch(listed(key)) == b"x"
    assert clients(scripted) == ["boto3"]


def test_large_objects_go_by_boto3(scripted: ScriptedStore) -> None:
    data = bytes(bulk.LARGEST_BYTES + 1)
    scripted.always = (200, {"ETag": '"v1"'}, data)
    assert storage.fetch(listed("a", len(data))) == data
    assert clients(scripted) == ["boto3"]


def test_what_obstore_does_not_deliver_is_asked_of_boto3(scripted: ScriptedStore) -> None:
    scripted.script = [no(503, "SlowDown"), WHOLE, no(403, "AccessDenied"), WHOLE, no(404, "NoSuchKey"), WHOLE, WHOLE]
    assert list(map(storage.fetch, [listed("a")] * 4)) == [b"x"] * 4
    assert clients(scripted) == ["obstore", "boto3"] * 3 + ["obstore"]


def test_obstore_is_given_up_after_many_failures_in_a_row(
    scripted: ScriptedStore, caplog: pytest.LogCaptureFixture
) -> None:
    tries = bulk.TRIES_WITHOUT_SUCCESS
    scripted.script = [no(403, "AccessDenied"), WHOLE] * tries + [WHOLE] * 5
    with caplog.at_level(logging.WARNING):
        assert [storage.fetch(listed("a")) for _ in range(tries + 5)] == [b"x"] * (tries + 5)
    assert clients(scripted) == ["obstore", "boto3"] * tries + ["boto3"] * 5
    assert [record.message for record in caplog.records] == [f"s3://{BUCKET}: read by boto3 from now on, obstore fails"]


def test_many_objects_are_fetched_in_order_each_with_its_own_result(s3: object) -> None:
    names = [f"{number}" for number in range(40)]
    for name in names:
        storage.write(f"s3://{BUCKET}/{name}", name.encode())
    objects = {o.uri.rsplit("/", 1)[-1]: o for o in storage.list_objects(f"s3://{BUCKET}")}
    storage.delete_folder(f"s3://{BUCKET}")
    for name in names[10:]:
        storage.write(f"s3://{BUCKET}/{name}", name.encode() if int(name) < 30 else b"another")
    fetched = list(storage.fetch_all([objects[name] for name in names]))
    assert all(isinstance(result, ObjectMissing) for result in fetched[:10])
    assert fetched[10:30] == [name.encode() for name in names[10:30]]
    assert all(isinstance(result, ObjectChanged) for result in fetched[30:])
    assert list(storage.fetch_all([])) == []


# The configuration of both clients


def test_both_clients_ask_with_the_same_credentials_and_region(
    scripted: ScriptedStore, aws_env: pytest.MonkeyPatch
) -> None:
    aws_env.setenv("AWS_SESSION_TOKEN", "the-token")
    aws_env.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    scripted.script = [no(404, "NoSuchKey"), WHOLE]
    storage.fetch(listed("a"))
    assert clients(scripted) == ["obstore", "boto3"]
    for headers in scripted.headers:
        scope = headers["Authorization"].partition("Credential=")[2].partition(",")[0].split("/")
        assert scope[0] == AWS["AWS_ACCESS_KEY_ID"]
        assert scope[2:4] == ["eu-north-1", "s3"]
        assert headers["x-amz-security-token"] == "the-token"
    assert scripted.paths == [f"/{BUCKET}/a"] * 2


def test_a_profile_serves_both_clients(scripted: ScriptedStore, aws_env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("[mine]\naws_access_key_id = of-profile\naws_secret_access_key = secret\n")
    (tmp_path / "config").write_text(f"[profile mine]\nregion = eu-west-3\nendpoint_url = {scripted.address}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        aws_env.delenv(name)
    aws_env.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    aws_env.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    aws_env.setenv("AWS_PROFILE", "mine")
    scripted.script = [no(404, "NoSuchKey"), WHOLE]
    assert storage.fetch(listed("a")) == b"x"
    assert clients(scripted) == ["obstore", "boto3"]
    assert all("Credential=of-profile/" in headers["Authorization"] for headers in scripted.headers)
    assert all("/eu-west-3/s3/" in headers["Authorization"] for headers in scripted.headers)


def test_variables_that_only_obstore_knows_change_nothing(scripted: ScriptedStore, aws_env: pytest.MonkeyPatch) -> None:
    aws_env.setenv("AWS_SKIP_SIGNATURE", "true")
    aws_env.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
    aws_env.setenv("AWS_ENDPOINT", "http://127.0.0.1:9")
    scripted.always = WHOLE
    assert storage.fetch(listed("a")) == b"x"
    assert clients(scripted) == ["obstore"]
    assert scripted.paths == [f"/{BUCKET}/a"]
    assert "Authorization" in scripted.headers[0]


def test_both_clients_trust_a_private_authority_only_when_it_is_configured(
    aws_env: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with scripted_store(tls=private_tls(tmp_path)) as store:
        aws_env.setenv("AWS_ENDPOINT_URL", store.address)
        aws_env.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        store.script = [no(404, "NoSuchKey"), WHOLE]
        assert storage.fetch(listed("a")) == b"x"
        assert clients(store) == ["obstore", "boto3"]
        aws_env.delenv("AWS_CA_BUNDLE")
        aws_env.setattr("boto3.DEFAULT_SESSION", None)
        aws_env.setattr(s3_store, "RETRY_SECONDS", 0.5)
        storage._store.cache_clear()
        with pytest.raises(StoreError, match="CERTIFICATE_VERIFY_FAILED"):
            storage.fetch(listed("a"))


def private_tls(folder: Path) -> ssl.SSLContext:
    """A TLS context for a server on 127.0.0.1, certified by a private authority: ca.pem in the folder."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = dt.datetime.now(dt.UTC)
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca, host = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in ("ca", "host"))
    dates = {"not_valid_before": now - dt.timedelta(1), "not_valid_after": now + dt.timedelta(1)}
    authority = (
        x509.CertificateBuilder(ca, ca, ca_key.public_key(), 1, **dates)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(ca_key, hashes.SHA256())
    )
    certificate = (
        x509.CertificateBuilder(ca, host, key.public_key(), 2, **dates)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(ca_key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    (folder / "both.pem").write_bytes(certificate.public_bytes(pem) + key.private_bytes(pem, *plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


def test_an_impossible_bucket_is_refused_as_by_boto3(s3: object) -> None:
    with pytest.raises(StoreRefused, match='Invalid bucket name "my bucket"'):
        storage.fetch(StoredObject("s3://my bucket/key", 1, "v1"))


# The bytes that are accepted


MD5 = hashlib.md5(b"right").hexdigest()


def answer(data: bytes) -> tuple[int, dict[str, str], bytes]:
    return 200, {"ETag": f'"{MD5}"'}, data


def test_bytes_that_differ_from_their_md5_are_requested_again(scripted: ScriptedStore) -> None:
    scripted.script = [answer(b"wrong"), answer(b"WRONG"), answer(b"right")]
    assert storage.fetch(listed("a", 5, MD5)) == b"right"
    assert scripted.script == []


def test_an_etag_that_only_looks_like_an_md5_costs_its_bucket_one_more_request(scripted: ScriptedStore) -> None:
    scripted.script = [answer(b"bytes")] * 2
    assert storage.fetch(listed("a", 5, MD5)) == b"bytes"
    scripted.script = [answer(b"other")]
    assert storage.fetch(listed("b", 5, MD5)) == b"other"
    assert len(scripted.asked) == 3


def test_bytes_that_differ_from_their_crc32_are_requested_again(scripted: ScriptedStore) -> None:
    crc = {"ETag": '"v1"', "x-amz-checksum-crc32": base64.b64encode(zlib.crc32(b"right").to_bytes(4)).decode()}
    scripted.script = [(200, crc, b"wrong"), (200, crc, b"right")]
    assert storage.read(f"s3://{BUCKET}/a") == b"right"
    assert scripted.script == []


@pytest.mark.parametrize("fault", [STALLED, DRIPS])
@pytest.mark.parametrize("key", ["by obstore", "by\nboto3"])
def test_an_endless_body_is_abandoned_and_requested_again(
    scripted: ScriptedStore, monkeypatch: pytest.MonkeyPatch, fault: str, key: str
) -> None:
    data = b"x" * 2000
    scripted.always = (200, {"ETag": '"v1"'}, data)
    for module, constant in ((bulk, "STALL_SECONDS"), (s3_store, "READ_SECONDS")):
        monkeypatch.setattr(module, constant, 0.2)
    for module in (bulk, s3_responses):
        monkeypatch.setattr(module, "ATTEMPT_SECONDS", 0.4)
    with fault_proxy(scripted.address, Plan(1.0, (fault,))) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        proxy.plan.at[3] = lambda: setattr(proxy, "plan", Plan())
        assert storage.fetch(listed(key, len(data))) == data
        assert proxy.done[fault] >= 2


# Many objects at a time


def test_no_more_threads_read_than_are_allowed(monkeypatch: pytest.MonkeyPatch, scripted: ScriptedStore) -> None:
    monkeypatch.setattr(s3_store, "FETCH_THREADS", 3)
    scripted.always = WHOLE
    most, others = 0, set(threading.enumerate())  # for example pools of other tests
    for _ in storage.fetch_all([listed(f"{number}") for number in range(200)]):
        new = set(threading.enumerate()) - others
        most = max(most, sum(thread.name.startswith("ThreadPoolExecutor") for thread in new))
    assert 0 < most <= 3


def test_a_panic_inside_obstore_is_one_more_failure(scripted: ScriptedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    panic = type("PanicException", (BaseException,), {})  # like obstore's, which is not an Exception

    def get(*_: object, **__: object) -> None:
        raise panic("called `Result::unwrap()` on an `Err` value")

    monkeypatch.setattr("obstore.get", get)
    scripted.always = WHOLE
    assert storage.fetch(listed("a")) == b"x"
    assert clients(scripted) == ["boto3"]
