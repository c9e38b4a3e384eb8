"""What parts of the program read from the environment: networks, notifiers, certificates, tokens, the program."""

from __future__ import annotations

import sys
from ipaddress import ip_network
from pathlib import Path

import pytest

from imagefeatures import settings
from imagefeatures.errors import SettingsError


@pytest.mark.parametrize("text", [None, "", " , "])
def test_nothing_is_allowed_and_nobody_is_told_by_default(text: str | None) -> None:
    of = {} if text is None else {"IMAGEFEATURES_HTTP_ALLOW": text, "IMAGEFEATURES_NOTIFIERS": text}
    assert settings.http_allow(of) == settings.notifiers(of) == ()


def test_lists_are_separated_by_commas() -> None:
    allowed = settings.http_allow({"IMAGEFEATURES_HTTP_ALLOW": "10.1.0.0/16, ,fd00::7 "})
    assert allowed == (ip_network("10.1.0.0/16"), ip_network("fd00::7"))
    told = settings.notifiers({"IMAGEFEATURES_NOTIFIERS": "my_module.tell, ,other.Notifier "})
    assert told == ("my_module.tell", "other.Notifier")


def test_what_is_no_network_is_refused_with_what_one_looks_like() -> None:
    with pytest.raises(SettingsError, match=r"^IMAGEFEATURES_HTTP_ALLOW: 'here' does not .*; write networks"):
        settings.http_allow({"IMAGEFEATURES_HTTP_ALLOW": "10.1.0.0/16,here"})


def test_certificates_are_in_a_file_that_is_there(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("…")
    assert settings.ca_bundle({}) is settings.ca_bundle({"SSL_CERT_FILE": ""}) is None
    assert settings.ca_bundle({"SSL_CERT_FILE": str(bundle)}) == str(bundle)
    with pytest.raises(SettingsError, match=rf"^SSL_CERT_FILE: there is no file '{tmp_path}'$"):
        settings.ca_bundle({"SSL_CERT_FILE": str(tmp_path)})


@pytest.mark.parametrize("token", ["sec ret", "sécret", "a\nb"])
def test_a_token_that_no_header_takes_is_refused_without_being_shown(token: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(token, encoding="utf-8")
    for name, value in (("IMAGEFEATURES_SERVING_TOKEN", token), ("IMAGEFEATURES_SERVING_TOKEN_FILE", str(file))):
        with pytest.raises(SettingsError) as why:
            settings.serving_token({name: value})
        assert str(why.value) == f"{name}: holds a blank or a character that no header has"


def test_a_token_is_given_once_and_its_file_can_be_read(tmp_path: Path) -> None:
    file, binary = tmp_path / "token", tmp_path / "binary"
    file.write_text(" secret\n")
    binary.write_bytes(b"\xff")
    assert settings.serving_token({}) is settings.serving_token({"IMAGEFEATURES_SERVING_TOKEN": " "}) is None
    assert settings.serving_token({"IMAGEFEATURES_SERVING_TOKEN": "a.b-c~!"}) == "a.b-c~!"
    assert settings.serving_token({"IMAGEFEATURES_SERVING_TOKEN_FILE": str(file)}) == "secret"
    for path, of in ((binary, "UnicodeDecodeError"), (tmp_path / "none", "FileNotFoundError")):
        with pytest.raises(SettingsError, match=rf"^IMAGEFEATURES_SERVING_TOKEN_FILE: {path} cannot be read \({of}\)$"):
            settings.serving_token({"IMAGEFEATURES_SERVING_TOKEN_FILE": str(path)})
    both = {"IMAGEFEATURES_SERVING_TOKEN": "a", "IMAGEFEATURES_SERVING_TOKEN_FILE": str(file)}
    with pytest.raises(SettingsError, match=r"is set, and IMAGEFEATURES_SERVING_TOKEN_FILE too; remove one of them$"):
        settings.serving_token(both)


def test_a_program_is_called_as_the_deployment_says_or_from_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"IMAGEFEATURES_PROGRAM": " docker compose  exec airflow imagefeatures "}
    assert settings.program(env=said) == "docker compose exec airflow imagefeatures"
    monkeypatch.setattr(sys, "executable", str(settings.REPOSITORY / ".venv" / "bin" / "python"))
    assert settings.program(env={}) == settings.program(env={"IMAGEFEATURES_PROGRAM": " "}) == ".venv/bin/imagefeatures"
    assert settings.program("airflow", said) == ".venv/bin/airflow"
    monkeypatch.setattr(sys, "executable", "/opt/python/bin/python")
    assert settings.program(env={}) == "imagefeatures"
