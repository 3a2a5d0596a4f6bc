"""Settings from TOML and environment: what is accepted, and what each refusal says."""

import io
import re
from pathlib import Path

import pytest

from affectd.config import Config
from affectd.config.file import load, warnings, write_default
from affectd.config.keys import TABLES, keys_of
from affectd.errors import ConfigError


@pytest.fixture
def write(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "affectd.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refusal(path, environ=None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, environ or {})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_file_and_environment_everything_is_default():
    assert load(None, {"PATH": "/bin"}) == Config()


def test_file_then_environment_win(write):
    path = write('[mqtt]\nhost = "file"\nport = 2000\ntls = true\n[fusion]\nhalf_life_s = 2\n')
    config = load(path, {"AFFECTD_MQTT_HOST": "environment", "AFFECTD_MQTT_TLS": "False", "AFFECTD_CAMERA_FPS": "5"})
    assert (config.mqtt.host, config.mqtt.port, config.mqtt.tls) == ("environment", 2000, False)
    assert (config.camera.fps, config.fusion.half_life_s) == (5.0, 2.0)
    assert isinstance(config.fusion.half_life_s, float)
    assert config.voice == Config().voice


def test_written_defaults_load_to_the_defaults_commented_or_not(write):
    stream = io.StringIO()
    write_default(stream)
    assert load(write(stream.getvalue()), {}) == Config()
    uncommented, count = re.subn(r"^#(?=\w+ = )", "", stream.getvalue(), flags=re.MULTILINE)
    assert count == sum(len(keys_of(table)) for table in TABLES)
    assert load(write(uncommented), {}) == Config()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[mqtt]\nport = 0\n", ["line 2", "mqtt.port = 0", "a whole number from 1 to 65,535"]),
        ("[mqtt]\nport = 18.5\n", ["line 2", "mqtt.port = 18.5", "a whole number"]),
        ("[mqtt]\nport = true\n", ["line 2", "mqtt.port = true", "a whole number"]),
        ('[mqtt]\nport = "1884"\n', ["line 2", 'mqtt.port = "1884"', "write port = 1884"]),
        ('[mqtt]\ntls = "True"\n', ["line 2", 'mqtt.tls = "True"', "write tls = true"]),
        ('[mqtt]\ntls = "yes"\n', ["line 2", 'mqtt.tls = "yes"', "true or false"]),
        ("[camera]\nfps = nan\n", ["line 2", "camera.fps = nan", "a number from 0.5 to 60"]),
        ("[camera]\nsource = 0\n", ["line 2", "camera.source = 0", "text in quotes", 'write source = "0"']),
        ('[fusion]\nstrategy = "Hybrid"\n', ["line 2", 'fusion.strategy = "Hybrid"', 'write strategy = "hybrid"']),
        ("[camera]\nrotate = 45\n", ["line 2", "camera.rotate = 45", "one of 0, 90, 180, 270", "clockwise"]),
        ('[camera]\nrotate = "90"\n', ["line 2", 'camera.rotate = "90"', "one of 0, 90, 180, 270"]),
        ("[camera]\nrotate = true\n", ["line 2", "camera.rotate = true", "one of 0, 90, 180, 270"]),
        ('[camera]\npixel_aspect = "16/9"\n', ["line 2", 'camera.pixel_aspect = "16/9"', '"auto"', '"16:11"']),
        ('[camera]\npixel_aspect = "1:0"\n', ["line 2", 'camera.pixel_aspect = "1:0"', 'from "1:8" to "8:1"']),
        ('[camera]\npixel_aspect = "0:0"\n', ["line 2", 'camera.pixel_aspect = "0:0"', 'from "1:8" to "8:1"']),
        ('[camera]\npixel_aspect = "9:1"\n', ["line 2", 'camera.pixel_aspect = "9:1"', 'from "1:8" to "8:1"']),
        ('[camera]\ncrop = "0.5,0,0.6,1"\n', ["line 2", 'camera.crop = "0.5,0,0.6,1"', "beyond the picture"]),
        (
            '[camera]\ncrop = "0.5,0,0.5"\n',
            ["line 2", 'camera.crop = "0.5,0,0.5"', "must be empty, or x,y,width,height"],
        ),
        ('[camera]\ncrop = "0,0,640,480"\n', ["line 2", "each must be from 0 to 1"]),
        ('[camera]\ncrop = "0,0,nan,1"\n', ["line 2", "each must be from 0 to 1"]),
        ("[camera]\npixel_aspect = 2\n", ["line 2", "camera.pixel_aspect = 2", "text in quotes"]),
        ('[device]\nid = "a/b"\n', ["line 2", 'device.id = "a/b"', "letters, digits, - and _"]),
        ('[device]\nname = "a\\u0000b"\n', ["line 2", "device.name"]),
        ('[fusion]\nstrategy = "magic"\n', ["line 2", 'fusion.strategy = "magic"', '"hybrid"', '"adaptive"']),
        ("[voice]\nhop_s = [\n0.5,\n]\n", ["line 2", "voice.hop_s", "a number from 0.1 to 5"]),
        ("[mqtt]\nhots = 'x'\n", ["line 2", "mqtt.hots", "did you mean host?"]),
        ("[mqtt]\nqqqqqq = 'x'\n", ["line 2", "mqtt.qqqqqq", "config init"]),
        ("\n\n[mqqt]\n", ["line 3", "[mqqt]", "did you mean mqtt?"]),
        ("mqtt = 3\n", ["line 1", "mqtt = 3", "[mqtt]"]),
    ],
)
def test_a_refusal_names_file_line_key_value_and_what_is_allowed(write, text, expected):
    path = write(text)
    message = refusal(path)
    for part in [str(path), *expected]:
        assert part in message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('# port = 0\n[device]\nname = """\\\n[mqtt]\\\nport = 0\\\n"""\n[mqtt] # here\n\nport = 0', 9),
        ('[device]\nname = "port = 0"\n\n["mqtt"]\n"port" = 0\n', 5),
        ("mqtt.host = 'x'\nmqtt . 'port' = 0\n", 2),
        ("mqtt = { host = 'x', port = 0 }\n", 1),
        ("[device]\r\nid = 'x'\r\n[mqtt]\r\nport = 0\r\n", 4),
        ('# a\u2028b\n[mqtt]\n"p\\u006frt" = 0\n', 3),
    ],
)
def test_the_line_is_the_keys_own_however_it_is_written(write, text, line):
    message = refusal(write(text))
    assert f"line {line}:" in message
    assert "mqtt." in message


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[mqtt]\nport = \n", "line 2, column 8"),
        ("[mqtt]\nport 3\n", "line 2, column 6"),
        ("[mqtt]\nhost = 'open", "line 2, column 13"),
        ("[mqtt]\nport = 1\nport = 2\n", "line 3"),
    ],
)
def test_a_syntax_error_names_line_and_column(write, text, where):
    message = refusal(write(text))
    assert "not valid TOML" in message
    assert where in message


def test_files_that_are_no_settings_are_refused(tmp_path):
    assert "no such file" in refusal(tmp_path / "missing.toml")
    assert "is a folder" in refusal(tmp_path)
    latin1 = tmp_path / "latin1.toml"
    latin1.write_bytes(b"[device]\nname = 'K\xe4the'\n")
    assert "line 2: not UTF-8" in refusal(latin1)
    big = tmp_path / "big.toml"
    big.write_bytes(b"# filler\n" * 1_200_000)
    assert "larger than 256 KB" in refusal(big)
    deep = tmp_path / "deep.toml"
    deep.write_text("a = " + "[" * 50_000)
    assert "not valid TOML" in refusal(deep)


def test_environment_refusals_name_the_variable():
    assert 'AFFECTD_MQTT_PORT: mqtt.port = "high"' in refusal(None, {"AFFECTD_MQTT_PORT": "high"})
    assert "did you mean AFFECTD_MQTT_HOST?" in refusal(None, {"AFFECTD_MQTT_HOTS": "x"})


def test_leave_must_be_less_than_enter_wherever_they_stand(write):
    path = write("[fusion]\nenter = 0.4\n")
    assert load(path, {}).fusion.enter == 0.4
    message = refusal(path, {"AFFECTD_FUSION_LEAVE": "0.45"})
    assert "AFFECTD_FUSION_LEAVE" in message
    assert "fusion.leave = 0.45 must be less than fusion.enter = 0.4" in message


def test_tls_files_and_password_go_together(write, tmp_path):
    pem = tmp_path / "a.pem"
    pem.touch()
    assert "line 2: mqtt.ca_file" in refusal(write("[mqtt]\nca_file = '/nowhere/ca.pem'\n"))
    assert "mqtt.cert_file must be too" in refusal(write(f"[mqtt]\nkey_file = '{pem}'\n"))
    assert load(write(f"[mqtt]\npassword_file = '{pem}'\n"), {}).mqtt.username == ""  # the device's id then
    mistaken = refusal(write("[mqtt]\npassword_file = 'hunter2'\n"))
    assert "mqtt.password_file = (not shown)" in mistaken
    assert "hunter2" not in mistaken


def test_warnings_say_what_is_probably_not_meant(tmp_path):
    password = tmp_path / "password"
    password.touch()
    environ = {
        "AFFECTD_MQTT_PORT": "8883",
        "AFFECTD_MQTT_HOST": "broker.example",
        "AFFECTD_MQTT_USERNAME": "box",
        "AFFECTD_MQTT_PASSWORD_FILE": str(password),
    }
    found = warnings(load(None, environ))
    assert any("8883" in sentence for sentence in found)
    assert any("unencrypted to broker.example" in sentence for sentence in found)
    assert warnings(load(None, {**environ, "AFFECTD_MQTT_TLS": "true"})) == []
    assert warnings(Config()) == []
    options = {"AFFECTD_INFERENCE_OPTIONS": "device=usb"}
    assert warnings(load(None, {**options, "AFFECTD_INFERENCE_DELEGATE": "edgetpu"})) == []
    assert warnings(load(None, options)) == ['inference.options has no effect with inference.delegate = "cpu".']


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[voice]\nhop_s = 2.0\n", ["line 2", "fusion.absent_s = 2 must be longer than voice.hop_s = 2"]),
        ("[voice]\nhop_s = 1\n[fusion]\nabsent_s = 0.9\n", ["line 4", "fusion.absent_s = 0.9", "voice.hop_s = 1"]),
        ("[camera]\nfps = 0.5\n", ["line 2", "fusion.absent_s = 2", "the 2 s between two frames of camera.fps = 0.5"]),
        ("[camera]\ntimeout_s = 0.5\nfps = 1\n", ["line 2", "camera.timeout_s = 0.5", "camera.fps = 1"]),
        (
            '[fusion]\nstrategy = "voice"\n[microphone]\nsource = "off"\n',
            ["line 2", 'fusion.strategy = "voice"', 'microphone.source = "off"'],
        ),
        (
            '[fusion]\nstrategy = "face"\n[inference]\nface = "off"\n',
            ["line 2", 'fusion.strategy = "face"', 'inference.face = "off"'],
        ),
    ],
)
def test_settings_that_defeat_one_another_are_refused(write, text, expected):
    path = write(text)
    message = refusal(path)
    for part in [str(path), *expected]:
        assert part in message


@pytest.mark.parametrize(
    "text",
    [
        '[voice]\nhop_s = 2.0\n[fusion]\nstrategy = "face"\n',
        '[camera]\nfps = 0.5\n[fusion]\nstrategy = "voice"\n',
    ],
)
def test_the_pace_of_what_the_strategy_leaves_out_is_free(write, text):
    load(write(text), {})
