"""affectd read: photographs and sounds as people have them, whole and broken, through the shipped models."""

import json
import os
import signal
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest

from affectd.cli.main import main
from affectd.events import LABELS, VOICE_LABELS
from support.media import read_wav, speak, write_clip
from support.processes import HEED_CTRL_C
from support.scenes import PORTRAIT, scene

SHARE = {"type": "number", "minimum": 0, "maximum": 1}


def closed(**properties):
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def shares(labels):
    return closed(**dict.fromkeys(labels, SHARE))


LINE = closed(
    file={"type": "string"},
    faces={
        "type": "array",
        "items": closed(
            box={"type": "array", "items": SHARE, "minItems": 4, "maxItems": 4},
            roll_deg={"type": "number", "minimum": -180, "maximum": 180},
            quality=SHARE,
            emotion={"enum": list(LABELS)},
            confidence=SHARE,
            probabilities=shares(LABELS),
        ),
    },
    voice={
        "anyOf": [
            {"type": "null"},
            closed(
                speech_s={"type": "number", "exclusiveMinimum": 0},
                emotion={"enum": list(VOICE_LABELS)},
                confidence=SHARE,
                probabilities=shares(VOICE_LABELS),
            ),
        ]
    },
    error={"type": ["null", "string"]},
)


def read_json(capsys, *files, options=()):
    """Return the exit code and the document of each file, all of the form that README states."""
    code = main(["read", "--no-config", "--json", *options, *map(str, files)])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for line in lines:
        jsonschema.validate(line, LINE)
    assert len(lines) == len(files)
    return code, lines


def stored_as(upright, orientation):
    """Return a JPEG whose EXIF orientation turns it into `upright`."""
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright.transpose(1, 0, 2), 2),
        8: np.rot90(upright, -1),
    }[orientation]
    jpeg = cv2.imencode(".jpg", np.ascontiguousarray(stored), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def test_a_photograph_shows_the_same_face_however_it_is_stored(tmp_path, capsys):
    portrait = scene((200, 160, 110), width=400, height=520)
    gray = cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY)
    kinds = {f"turned {n}.jpg": stored_as(portrait, n) for n in range(1, 9)}
    for name, picture in (
        ("new\nline.png", portrait),
        ("grey.jpg", gray),
        ("deep.png", gray.astype(np.uint16) * 257),
        ("alpha.png", np.dstack([portrait, np.full_like(gray, 90)])),
        ("photo.webp", portrait),
        ("photo.tiff", portrait),
        ("large.jpg", cv2.resize(portrait, (3000, 3900))),
    ):
        kinds[name] = cv2.imencode(Path(name).suffix, picture)[1].tobytes()
    for name, data in kinds.items():
        (tmp_path / name).write_bytes(data)
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")
    Path(odd).symlink_to(tmp_path / "alpha.png")
    code, lines = read_json(capsys, *(tmp_path / name for name in kinds), odd)
    assert code == 0
    for line in lines:
        (face,) = line["faces"]
        x, y, width, height = face["box"]
        assert (x + width / 2, y + height / 2) == pytest.approx((200 / 400, 160 / 520), abs=0.03), line["file"]
        assert (face["emotion"], line["voice"], line["error"]) == ("happy", None, None)
    assert lines[-1]["file"].endswith("/\ufffd.png")


def test_all_of_a_group_are_read_and_a_picture_without_a_face_is_no_fault(tmp_path, capsys):
    places = [(300 + 560 * i, 700 + 250 * (i % 2), 200) for i in range(6)]
    cv2.imwrite(str(tmp_path / "group.jpg"), scene(*places, width=3600, height=2400))
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((480, 640, 3), 128, np.uint8))
    cv2.imwrite(str(tmp_path / "dot.png"), np.zeros((1, 1, 3), np.uint8))
    files = [str(tmp_path / name) for name in ("group.jpg", "wall.png", "dot.png")]
    code, lines = read_json(capsys, *files)
    assert code == 0
    found = sorted((face["box"][0] + face["box"][2] / 2) * 3600 for face in lines[0]["faces"])
    assert found == pytest.approx([x for x, _, _ in places], abs=60)
    assert [line["faces"] for line in lines[1:]] == [[], []]
    assert main(["read", "--no-config", *files]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 8
    assert "face 1   happy    ████████" in shown[0]
    assert all(row.endswith("  no face found") for row in shown[6:])


def test_another_detector_sees_tilted_heads_near_and_far(tmp_path, capsys):
    turn = cv2.getRotationMatrix2D((200, 160), -35, 1)
    portrait = cv2.warpAffine(scene((200, 160, 110), width=400, height=400), turn, (400, 400), borderValue=(150,) * 3)
    cv2.imwrite(str(tmp_path / "near.png"), portrait)
    cv2.imwrite(str(tmp_path / "far.png"), cv2.copyMakeBorder(portrait, 0, 1600, 1600, 1600, cv2.BORDER_REPLICATE))
    files = [tmp_path / "near.png", tmp_path / "far.png"]
    code, lines = read_json(capsys, *files, options=("--detector", "blazeface"))
    assert code == 0
    for (face,) in (line["faces"] for line in lines):
        assert (face["emotion"], face["roll_deg"]) == ("happy", pytest.approx(35, abs=10))


def test_what_cannot_be_read_is_named_and_the_rest_is_read(tmp_path, capsys):
    whole = PORTRAIT.read_bytes()
    for name, data in (
        ("cut.jpg", whole[: len(whole) // 2]),
        ("text.jpg", b"no picture at all\n" * 20),
        ("empty.png", b""),
        ("phone.heic", b"\0\0\0\x18ftypheic" + bytes(100)),
        ("bomb.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBBBBBI", 60_000, 60_000, 8, 0, 0, 0, 0, 0)),
        ("head.wav", b"RIFF\xff\0\0\0WAVEfmt \x10\0\0\0\1\0"),
    ):
        (tmp_path / name).write_bytes(data)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    said = {
        "cut.jpg": "this JPEG picture cannot be decoded; it is cut short or damaged",
        "text.jpg": "holds no picture, and",
        "empty.png": "is empty",
        "phone.heic": "save it as JPEG or PNG",
        "bomb.png": "this PNG picture",
        "head.wav": "a WAV file with a damaged header",
        "pipe": "is a pipe or a socket",
        "folder": "is a folder; name the files in it",
        "nowhere.jpg": "cannot be read: No such file or directory",
    }
    files = [tmp_path / name for name in said]
    code, lines = read_json(capsys, PORTRAIT, *files, "/dev/null", PORTRAIT)
    assert code == 5
    assert [len(line["faces"]) for line in lines] == [1, *[0] * 10, 1]
    for line, (name, sentence) in zip(lines[1:-2], said.items(), strict=True):
        assert line["error"].startswith(f"{tmp_path / name}: ")
        assert sentence in line["error"]
    assert "is a device" in lines[-2]["error"]
    assert main(["read", "--no-config", *map(str, [*files, PORTRAIT])]) == 5
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert err.splitlines() == [f"affectd: {line['error']}" for line in lines[1:-2]]


def wav(samples, rate, coding, channels=1, *, extensible=False):
    """Return a WAV file of (n,) or (n, bytes) little-endian samples."""
    data, bits = samples.tobytes(), 8 * (samples.shape[1] if samples.ndim == 2 else samples.itemsize)
    frame = channels * bits // 8
    layout = struct.pack("<HHIIHH", 0xFFFE if extensible else coding, channels, rate, rate * frame, frame, bits)
    layout += struct.pack("<HHIH14x", 22, bits, 0, coding) if extensible else b""
    chunks = (
        b"WAVEfmt " + struct.pack("<I", len(layout)) + layout + b"note\3\0\0\0odd\0data" + struct.pack("<I", len(data))
    )
    return b"RIFF" + struct.pack("<I", len(chunks) + len(data)) + chunks + data


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """Five seconds of speech: its rate, and (n,) int16."""
    text = "Good morning. How nice to see you here today. Please come in and take a seat."
    return read_wav(speak(tmp_path_factory.mktemp("said") / "said.wav", text))


def test_a_voice_is_heard_in_sound_of_every_width_rate_and_container(tmp_path, capsys, spoken):
    rate, said = spoken
    upper = np.zeros((said.size, 3), np.uint8)
    upper[:, 1:] = said.view(np.uint8).reshape(-1, 2)
    for name, data in {
        "8": wav(((said >> 8) + 128).astype(np.uint8), rate, 1),
        "16 stereo": wav(np.repeat(said, 2), rate, 1, channels=2),
        "24": wav(upper, rate, 1, extensible=True),
        "32": wav(said.astype(np.int32) << 16, rate, 1),
        "float": wav((said / 32768).astype(np.float32), rate, 3),
        "88 kHz": wav(np.repeat(said, 4), 4 * rate, 1),
    }.items():
        (tmp_path / f"{name}.wav").write_bytes(data)
    write_clip(tmp_path / "sound.m4a", sound=said, sample_rate=rate)
    frames = [np.zeros((64, 64, 3), np.uint8)] * 10
    write_clip(tmp_path / "video.mp4", frames=frames, fps=Fraction(10), sound=said, sample_rate=rate)
    files = sorted(tmp_path.iterdir())
    code, lines = read_json(capsys, *files)
    assert code == 0
    for line in lines:
        assert (line["faces"], line["error"]) == ([], None)
        assert line["voice"]["emotion"] == lines[0]["voice"]["emotion"], line["file"]
        assert line["voice"]["speech_s"] == pytest.approx(lines[0]["voice"]["speech_s"], abs=0.3)
    assert main(["read", "--no-config", str(tmp_path / "video.mp4")]) == 0
    assert "s (sound only; `affectd run --clip` plays the video)" in capsys.readouterr().out


def test_where_nobody_speaks_there_is_no_voice_and_no_fault(tmp_path, capsys, spoken):
    rate, said = spoken
    noise = np.random.default_rng(0).normal(0, 2000, 10 * rate).astype(np.int16)
    for name, samples in (("silence", np.zeros(3 * rate, np.int16)), ("noise", noise), ("nothing", said[:0])):
        (tmp_path / f"{name}.wav").write_bytes(wav(samples, rate, 1))
    (tmp_path / "cut.wav").write_bytes(wav(said, rate, 1)[: -3 * rate])
    (tmp_path / "none.wav").write_bytes(wav(np.full(2 * rate, np.nan, np.float32), rate, 3))
    files = [tmp_path / f"{name}.wav" for name in ("silence", "noise", "nothing", "none", "cut")]
    code, lines = read_json(capsys, *files)
    assert code == 5
    assert [line["voice"] for line in lines] == [None] * 5
    assert [line["error"] for line in lines[:-1]] == [None] * 4
    assert "cut.wav: cut short at second " in lines[-1]["error"]
    assert main(["read", "--no-config", str(files[0])]) == 0
    assert capsys.readouterr().out == f"{files[0]}  nobody speaks in 3.0 s\n"


def test_sound_that_needs_a_decoder_says_so_where_there_is_none(tmp_path, capsys, monkeypatch, spoken):
    rate, said = spoken
    write_clip(tmp_path / "sound.m4a", sound=said, sample_rate=rate)
    (tmp_path / "sound.wav").write_bytes(wav(said, rate, 1))
    monkeypatch.setitem(sys.modules, "av", None)
    code, lines = read_json(capsys, tmp_path / "sound.m4a", tmp_path / "sound.wav")
    assert code == 5
    assert "needs the extra `clip`" in lines[0]["error"]
    assert lines[1]["voice"] is not None


@pytest.mark.parametrize(("width", "height", "drawn"), [(120, 90, (480, 640)), (4800, 2400, (1024, 2048))])
def test_a_drawing_is_legible_at_any_size_and_leaves_the_photograph_alone(tmp_path, capsys, width, height, drawn):
    photo, out = tmp_path / "photo.png", tmp_path / "drawing.png"
    cv2.imwrite(str(photo), scene((width / 2, height / 2, height / 2), width=width, height=height))
    before = photo.read_bytes()
    assert main(["read", "--no-config", str(photo), "--annotate", str(out)]) == 0
    picture = cv2.imread(str(out)).astype(int)
    assert picture.shape[:2] == drawn
    green = (picture[..., 1] > 180) & (picture[..., 0] < 130) & (picture[..., 2] < 130)
    rows, columns = np.nonzero(green)
    assert columns.mean() == pytest.approx(drawn[1] / 2, abs=drawn[1] / 10)
    assert np.ptp(rows) == pytest.approx(drawn[0] / 2, rel=0.4)
    assert photo.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drawing.png", "photo.png"]


def test_what_cannot_be_drawn_is_refused(tmp_path, capsys, spoken):
    photo, sound = tmp_path / "photo.png", tmp_path / "sound.wav"
    cv2.imwrite(str(photo), scene((320, 240, 150)))
    sound.write_bytes(wav(spoken[1], spoken[0], 1))
    (tmp_path / "link.png").symlink_to(photo)
    before = photo.read_bytes()
    for files, out, sentence in (
        ([photo, photo], "out.png", "--annotate draws one photograph, and 2 files are named"),
        ([photo], "photo.png", "is the photograph itself"),
        ([photo], "link.png", "is the photograph itself"),
        ([sound], "out.png", "holds no picture"),
    ):
        assert main(["read", "--no-config", *map(str, files), "--annotate", str(tmp_path / out)]) == 2
        assert sentence in capsys.readouterr().err
    assert main(["read", "--no-config", str(photo), "--annotate", str(tmp_path / "no" / "out.png")]) == 3
    assert "cannot be written: No such file or directory" in capsys.readouterr().err
    assert photo.read_bytes() == before
    assert not (tmp_path / "out.png").exists()


def test_ctrl_c_ends_a_long_reading_with_130(tmp_path):
    (tmp_path / "hours.wav").write_bytes(wav(np.zeros(16_000 * 1800, np.int16), 16_000, 1))
    affectd = [*HEED_CTRL_C, sys.executable, "-m", "affectd.cli.main"]
    command = [*affectd, "read", "--no-config", PORTRAIT, tmp_path / "hours.wav"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reading:
        assert "happy" in reading.stdout.readline()
        reading.send_signal(signal.SIGINT)
        out, err = reading.communicate(timeout=60)
    assert (reading.returncode, out, err) == (130, "", "")
