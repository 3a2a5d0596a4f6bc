"""A finished bundle's report on quantization stands in its card, once, however often it is made."""

import shutil

import pytest

from affectd_convert.commands.main import main

pytestmark = pytest.mark.timeout(400)


def test_a_bundle_is_reported_on_by_its_golden_samples_and_the_report_stands_in_its_card(voice_model, tmp_path, capsys):
    folder = shutil.copytree(voice_model.bundle, tmp_path / "voice")
    (folder / "training" / "quantization.png").unlink()
    card = folder / "CARD.md"
    whole = card.read_text()
    before, _, after = whole.partition("## Quantization\n")
    card.write_text(f"{before}## {after.partition(chr(10) + '## ')[2]}")
    for _ in range(2):
        assert main(["quantize", "--bundle", str(folder)]) == 0
        text = card.read_text()
        assert text.count("## Quantization\n") == 1
        assert text.index("## Quantization\n") < text.index("## Cost\n")
        assert "Against float16 on its " in text
        assert text.splitlines()[0] == whole.splitlines()[0]
    assert "What each layer of int8 adds to the error, largest first" in capsys.readouterr().out
    assert (folder / "training" / "quantization.png").read_bytes().startswith(b"\x89PNG")
