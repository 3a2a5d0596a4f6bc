"""Settings files as editors save them: marks, encodings, line ends, and the quotes of web pages."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from affectd.config.file import load
from affectd.errors import ConfigError
from affectd.inference.bundle import Bundle
from affectd.inference.installed import installed_models
from affectd.service.privacy_sources import PrivacySources

SETTINGS = '[mqtt]\nhost = "127.0.0.1"\nport = 18830\n'


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        codecs.BOM_UTF8 + SETTINGS.encode(),
        codecs.BOM_UTF8 + SETTINGS.replace("\n", "\r\n").encode(),
        SETTINGS.replace("\n", "\r\n").encode(),
        SETTINGS.replace(" = ", "\t=\t").encode(),
        SETTINGS.rstrip().encode(),
    ],
)
def test_settings_are_read_however_an_editor_saved_them(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "affectd.toml"
    path.write_bytes(content)
    mqtt = load(path, {}).mqtt
    assert (mqtt.host, mqtt.port) == ("127.0.0.1", 18830)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"port\n", "line 1, column 5"),
        (b"[mqtt]\nport = \n", "line 2, column 8"),
        (b"[mqtt]\nport = 0\n", "line 2: mqtt.port = 0"),
        (b"[mqtt]\n# K\xe4the\n", "line 2: not UTF-8 text (byte 0xe4); save it as UTF-8"),
        (b"# K\xe4the\n", "line 1: not UTF-8 text (byte 0xe4)"),
    ],
)
def test_a_mark_moves_neither_lines_nor_columns(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "affectd.toml"
    for mark in (b"", codecs.BOM_UTF8):
        path.write_bytes(mark + content)
        assert said in refusal(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_utf_16_is_called_so(tmp_path: Path, encoding: str, mark: str) -> None:
    path = tmp_path / "affectd.toml"
    path.write_bytes((mark + SETTINGS).encode(encoding))
    assert "is UTF-16 text (Notepad's 'Unicode'); save it as UTF-8" in refusal(path)


@pytest.mark.parametrize(("content", "line"), [(bytes(512), 1), (b"[mqtt]\nhost = 'a'\n" + bytes(100), 3)])
def test_a_file_that_a_power_cut_left_is_called_so(tmp_path: Path, content: bytes, line: int) -> None:
    path = tmp_path / "affectd.toml"
    path.write_bytes(content)
    assert f"line {line}: holds NUL bytes, as after a power cut" in refusal(path)


@pytest.mark.parametrize(
    ("text", "where", "hint"),
    [
        ("[mqtt]\nhost = “broker”\n", "line 2, column 8", "typographic quotes"),
        ('[mqtt]\nhost = "broker”\n', "line 2, column 16", "typographic quotes"),
        ("[mqtt]\nhost = ‘broker’\n", "line 2, column 8", "typographic quotes"),
        ("[mqtt]\nhost\u00a0= 'broker'\n", "line 2, column 5", "an invisible character (U+00A0)"),
        ("[mqtt]\nport = 1883\u200b\n", "line 2, column 12", "an invisible character (U+200B)"),
        ("[mqtt]\n\ufeff[camera]\n", "line 2, column 1", "an invisible character (U+FEFF)"),
        ("[mqtt]\rhost = 'broker'\r", "line 1", "as on old Macs"),
        ("[mqtt]\nhost = broker.lan\n", "line 2, column 8", 'text stands in quotes ("...")'),
        ("[mqtt]\nhost = 192.168.1.20\n", "line 2, column 15", 'text stands in quotes ("...")'),
        ("[mqtt]\ntls = True\n", "line 2, column 7", "true and false in small letters"),
        ('[mqtt]\nca_file = "C:\\ca.pem"\n', "line 2", r"write \\ for a \, or put the text in single quotes"),
    ],
)
def test_a_syntax_error_with_a_plain_cause_is_told_it(tmp_path: Path, text: str, where: str, hint: str) -> None:
    path = tmp_path / "affectd.toml"
    path.write_text(text, encoding="utf-8", newline="")
    message = refusal(path)
    assert where in message
    assert hint in message


@pytest.mark.parametrize("text", ["[mqtt]\nport = \n", "[mqtt\n", "[mqtt]\nport = 1883 1884\n", "# it’s\nport\n"])
def test_a_syntax_error_without_a_plain_cause_is_told_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "affectd.toml"
    path.write_text(text, encoding="utf-8")
    assert refusal(path).endswith(")")


def test_the_privacy_switch_and_a_manifest_may_have_a_mark(tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    for word, on in (("0", False), ("1", True)):
        switch.write_bytes(codecs.BOM_UTF8 + word.encode() + b"\r\n")
        demand = PrivacySources(tmp_path / "privacy", switch).switch()
        assert (demand.on, demand.fault) == (on, None)
    genuine = installed_models() / "voice-cnn-lstm"
    (tmp_path / "manifest.json").write_bytes(codecs.BOM_UTF8 + (genuine / "manifest.json").read_bytes())
    assert Bundle.load(tmp_path).version == Bundle.load(genuine).version
