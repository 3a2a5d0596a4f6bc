"""The command line as a process: help, exit codes, one sentence for every fault."""

import subprocess
import sys

import pytest

from affectd import errors
from affectd.cli.main import COMMANDS, EXIT_CODES, main


def affectd(*arguments, **options):
    command = [sys.executable, "-m", "affectd.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


def test_help_documents_every_command_and_exit_code():
    shown = affectd("--help")
    assert shown.returncode == 0
    for name in COMMANDS:
        assert name in shown.stdout
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.AffectdError):
            assert f"\n  {kind.exit_code} " in EXIT_CODES
    assert EXIT_CODES in shown.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert "usage: affectd " + name in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["bogus"], ["run", "--bogus"], ["config"]])
def test_a_wrong_command_line_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_help_loads_nothing_heavy():
    program = "import sys; from affectd.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    program += "print('heavy:', sorted({'numpy', 'cv2', 'av', 'paho', 'sqlite3', 'asyncio'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "heavy: []" in shown.stdout


def test_a_fault_is_one_sentence_and_its_exit_code(tmp_path):
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[mqtt]\nport = 0\n")
    ended = affectd("run", "--config", wrong)
    assert ended.returncode == errors.ConfigError.exit_code
    assert ended.stdout == ""
    assert ended.stderr.startswith(f"affectd: {wrong}, line 2: mqtt.port = 0: must be")
    assert ended.stderr.count("\n") == 1


def test_a_reader_that_leaves_is_no_fault():
    command = f"'{sys.executable}' -m affectd.cli.main config init | head -1; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.splitlines()[-1] == "0"
    assert ended.stderr == ""


def test_output_that_cannot_be_written_is_one_sentence():
    command = f"'{sys.executable}' -m affectd.cli.main config init >/dev/full"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (
        1,
        "affectd: standard output cannot be written: No space left on device\n",
    )


def test_numpy_is_not_loaded_before_the_command_is_known():
    """Its threads would not leave SIGTERM to the one that waits for it, and be too many."""
    told = "import sys, affectd.cli.main; print(sorted(sys.modules.keys() & {'numpy', 'cv2', 'scipy'}))"
    ended = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "[]\n"
