"""Settings that could never work are refused with the right form, wherever they come from; all that works is taken."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

import pytest

from affectd.cli.options import add_broker_options, load_config
from affectd.config.file import load, warnings
from affectd.config.keys import toml
from affectd.errors import ConfigError

ALONE = "must be a host name or address alone"
SECRETS = "; user name and password go into mqtt.username and mqtt.password_file"


def refusal(table: str, key: str, value: str, folder: Path) -> str:
    """Refuse the value in a file and in the environment; return the sentence after the place."""
    path = folder / "affectd.toml"
    path.write_text(f"[{table}]\n{key} = {toml(value)}\n", encoding="utf-8")
    variable = f"AFFECTD_{table}_{key}".upper()
    said = []
    for place, file, environ in (
        (f"{path}, line 2", path, {}),
        (f"environment variable {variable}", None, {variable: value}),
    ):
        with pytest.raises(ConfigError) as caught:
            load(file, environ)
        before, _, after = str(caught.value).partition(": ")
        assert before == place
        said.append(after)
    assert said[0] == said[1]
    return said[0]


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("mqtt://broker", ': mqtt.host = "broker", mqtt.port = 1883'),
        ("mqtt://broker:1884", ': mqtt.host = "broker", mqtt.port = 1884'),
        ("MQTTS://broker", ': mqtt.host = "broker", mqtt.port = 8883, mqtt.tls = true'),
        ("mqtts://broker:8884/", ': mqtt.host = "broker", mqtt.port = 8884, mqtt.tls = true'),
        ("tcp://10.0.0.7:1883", ': mqtt.host = "10.0.0.7", mqtt.port = 1883'),
        ("ws://broker:9001/mqtt", ': mqtt.host = "broker"; affectd speaks MQTT over TCP, not over WebSocket'),
        ("http://broker.lan:8123/", ': mqtt.host = "broker.lan"'),
        ("mqtt//broker", ': mqtt.host = "broker", mqtt.port = 1883'),
        ("broker:1883", ': mqtt.host = "broker", mqtt.port = 1883'),
        ("192.168.1.20:1883", ': mqtt.host = "192.168.1.20", mqtt.port = 1883'),
        ("broker:188300", ': mqtt.host = "broker"'),
        ("[::1]", ': mqtt.host = "::1"'),
        ("[fe80::1]:1884", ': mqtt.host = "fe80::1", mqtt.port = 1884'),
        ("mqtt://[::1]:1884", ': mqtt.host = "::1", mqtt.port = 1884'),
        (" broker ", ': mqtt.host = "broker"'),
        ("broker/emotions", ': mqtt.host = "broker"'),
        ("kiosk:hunter2@broker", f': mqtt.host = "broker"{SECRETS}'),
        ("mqtt://kiosk:hun#ter2@broker:1884", f': mqtt.host = "broker", mqtt.port = 1884{SECRETS}'),
        *[
            (host, ', such as "broker.lan", "192.168.1.20" or "::1"')
            for host in (
                "",
                "  ",
                "my broker",
                "broker..lan",
                "a" * 64,
                "a." * 127 + "a",
                "192.168.1.300",
                "broker:mqtt",
                "a,b",
            )
        ],
    ],
)
def test_a_host_that_no_resolver_takes_is_told_the_right_form(tmp_path: Path, host: str, said: str) -> None:
    message = refusal("mqtt", "host", host, tmp_path)
    assert message.endswith(f": {ALONE}{said}")
    assert "hunter2" not in message
    assert "ter2" not in message


@pytest.mark.parametrize(
    "host",
    [
        *("broker", "broker.lan", "broker.lan.", "BROKER", "my_broker", "my-broker-1", "1.broker", "a" * 63),
        *("bröker.local", "xn--brker-kua.local"),
        *("10.0.0.7", "127.1", "2130706433", "::1", "fe80::1%eth0", "::ffff:127.0.0.1", "2001:db8::1"),
    ],
)
def test_a_host_that_a_resolver_takes_is_taken(host: str) -> None:
    assert load(None, {"AFFECTD_MQTT_HOST": host}).mqtt.host == host


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.1", "2130706433", "0x7f.1"])
def test_odd_hosts_are_connected_to(host: str) -> None:
    assert load(None, {"AFFECTD_MQTT_HOST": host}).mqtt.host == host
    with socket.create_server(("127.0.0.1", 0)) as listener:
        socket.create_connection((host, listener.getsockname()[1]), timeout=30).close()


def test_options_are_named_as_the_person_typed_them(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_broker_options(parser)
    parser.set_defaults(config=None)
    with pytest.raises(
        ConfigError, match=r'^option --host: mqtt.host = "mqtt://broker": must be .* mqtt.host = "broker"'
    ):
        load_config(parser.parse_args(["--host", "mqtt://broker"]))
    with pytest.raises(ConfigError, match=r"^option --ca-file: mqtt.ca_file = .*/none.pem\"?: must be a file"):
        load_config(parser.parse_args(["--ca-file", str(tmp_path / "none.pem")]))
    given = load_config(parser.parse_args(["--host", "broker", "--port", "1884", "--tls"])).mqtt
    assert (given.host, given.port, given.tls) == ("broker", 1884, True)


@pytest.mark.parametrize("key", ["base_topic", "discovery_prefix"])
@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("homeassistant/", '; write "homeassistant"'),
        ("/affectd", '; write "affectd"'),
        ("affectd//x", '; write "affectd/x"'),
        (" affectd ", '; write "affectd"'),
        ("affectd/#", '; write "affectd"'),
        ("my house", "after another"),
        ("+/affectd", "after another"),
        ("$SYS", "after another"),
        ("//", "after another"),
        ("a" * 129, "after another"),
    ],
)
def test_a_topic_that_nobody_would_receive_is_told_the_right_form(
    tmp_path: Path, key: str, topic: str, said: str
) -> None:
    assert refusal("mqtt", key, topic, tmp_path).endswith(said)


@pytest.mark.parametrize("topic", ["affectd", "house/ground-floor/affectd", "a" * 128, "küche", "a$"])
def test_other_topics_are_taken(topic: str) -> None:
    assert load(None, {"AFFECTD_MQTT_BASE_TOPIC": topic}).mqtt.base_topic == topic
    assert load(None, {"AFFECTD_MQTT_DISCOVERY_PREFIX": topic}).mqtt.discovery_prefix == topic


def test_an_empty_prefix_turns_discovery_off_and_an_empty_topic_is_none(tmp_path: Path) -> None:
    assert load(None, {"AFFECTD_MQTT_DISCOVERY_PREFIX": ""}).mqtt.discovery_prefix == ""
    assert "must be 1 to 128 characters" in refusal("mqtt", "base_topic", "", tmp_path)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("htp://kiosk:hunter2@cam/1", "did you mean http://?"),
        ("rtsp//kiosk:hunter2@cam/1", "an address is written rtsp://..."),
        ("rtsp:/kiosk:hunter2@cam/1", "an address is written rtsp://..."),
        ("kiosk:hunter2@192.168.1.20/1", "an address begins with rtsp:// or http://"),
        ("192.168.1.20:554/1", "an address begins with rtsp:// or http://"),
        (" rtsp://cam/1", "no blanks around it"),
        ("http://", "name a host"),
        ("rtsp://kiosk:hunter2@cam:99999/1", "a number from 1 to 65535"),
        ("/dev/vidoe0", "did you mean /dev/video0?"),
        ("-1", "nothing else that is allowed"),
        ("1.5", "nothing else that is allowed"),
        ("", "nothing else that is allowed"),
        ("usb", "nothing else that is allowed"),
        ("Auto", "did you mean 'auto'?"),
        ("picamera:", "must name a camera as in 'picamera:1'"),
        ("gst:", "must be followed by a pipeline"),
        ("gst: rtspsrc location=rtsp://kiosk:hunter2@cam/1 user-pw=hunter2 !", "must not end in '!'"),
    ],
)
def test_a_camera_that_can_be_none_is_told_the_right_form(tmp_path: Path, source: str, said: str) -> None:
    message = refusal("camera", "source", source, tmp_path)
    assert said in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "source",
    [
        *("auto", "picamera", "off", "0", "/dev/video0", "/dev/v4l/by-id/usb-046d-index0", "/dev/kiosk"),
        *("RTSP://cam/1", "rtsp://kiosk:p#ss@cam/1", "https://cam:8443/video"),
        *("udp://@239.0.0.1:1234", "file:///srv/kiosk.ts"),
        *("picamera:1", "picamera:imx708", "picamera:/base/soc/i2c0mux/i2c@1/imx708@1a"),
        "gst: rtspsrc location=rtsp://kiosk:p@ss@cam/1 ! rtph264depay ! avdec_h264",
    ],
)
def test_a_live_camera_is_taken_as_it_is_written(source: str) -> None:
    config = load(None, {"AFFECTD_CAMERA_SOURCE": source})
    assert config.camera.source == source
    assert warnings(config) == []


def test_a_password_whose_end_is_unclear_is_warned_of() -> None:
    found = warnings(load(None, {"AFFECTD_CAMERA_SOURCE": "rtsp://kiosk:2024/hunter2@cam/1"}))
    assert len(found) == 1
    assert "unclear where the password ends; in user name and password write %2F for /" in found[0]


@pytest.mark.parametrize("source", ["rtsp://kiosk:hunter2@cam/1", "/dev/snd/pcmC0D0c"])
def test_a_microphone_that_can_be_none_is_told_the_right_form(tmp_path: Path, source: str) -> None:
    message = refusal("microphone", "source", source, tmp_path)
    assert "'auto'" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "text",
    [
        "mqtt = 'mqtt://kiosk:hunter2@broker'",
        "[mqtt]\nhost = ['kiosk:hunter2@broker']",
        "[mqtt]\nport = 'mqtt://kiosk:hunter2@broker'",
        "[mqtt]\nbase_topic = 'mqtt://kiosk:hunter2@broker'",
        "[mqtt]\npassword_file = ['hunter2']",
        '[camera]\nsource = "rtsp://kiosk:hunter2@cam\\n"',
    ],
)
def test_a_secret_in_the_wrong_place_is_not_shown(tmp_path: Path, text: str) -> None:
    path = tmp_path / "affectd.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert "hunter2" not in str(caught.value)


def test_a_number_is_not_suggested_for_a_password_file(tmp_path: Path) -> None:
    path = tmp_path / "affectd.toml"
    path.write_text("[mqtt]\npassword_file = 4711\n")
    with pytest.raises(ConfigError, match="must be printable text in quotes") as caught:
        load(path, {})
    assert "4711" not in str(caught.value)
