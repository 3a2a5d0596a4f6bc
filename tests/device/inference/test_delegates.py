"""Delegates: used when they answer as the CPU does, left for the CPU, with the reason, when not; never loaded before
a process of its own survived them."""

from __future__ import annotations

import dataclasses
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from affectd.cli.check.finding import Finding
from affectd.cli.check.probes import probe_model
from affectd.config import Config
from affectd.inference.accelerators import in_use, limits, trial, trials
from affectd.inference.accelerators.accelerator import Workload
from affectd.inference.accelerators.choice import Wanted, choose
from affectd.inference.accelerators.cpu import Cpu
from affectd.inference.accelerators.external import External
from affectd.inference.accelerators.gpu import Gpu
from affectd.inference.accelerators.in_use import InUse
from affectd.inference.accelerators.options import parse_options
from affectd.inference.accelerators.trial import Verdict
from affectd.inference.accelerators.trials import Trials
from affectd.inference.accelerators.verdict_cache import VerdictCache
from affectd.inference.bundle import Bundle
from affectd.inference.interpreter import installed_runtimes, load_runtime
from affectd.inference.model import Model, open_model
from support.bundles import Made
from support.delegates import FAULTS, build_delegate

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(params=installed_runtimes())
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(build_delegate(tmp_path_factory.mktemp("delegate") / "delegate.so"))


@pytest.fixture
def workload(face_model: Made) -> Workload:
    return Workload(Bundle.load(face_model.bundle), "int8", load_runtime("auto"))


def test_a_delegate_that_answers_right_is_used(face_model: Made, library: str, runtime: str) -> None:
    bundle = Bundle.load(face_model.bundle)
    model = open_model(bundle, "int8", runtime=runtime, wanted=Wanted(library))
    assert (model.delegate, model.delegate_reason) == (library, "")
    sample = bundle.golden().inputs[0]
    assert (model.logits(sample) == open_model(bundle, "int8", runtime=runtime).logits(sample)).all()


def test_check_survives_every_bad_delegate_and_says_what_it_did(
    face_model: Made, library: str, runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, which would die of what is loaded in it."""
    monkeypatch.setattr(trial, "STEP_S", 6.0)
    dying = str(build_delegate(tmp_path / "dying.so", "-DLOAD_ABORT"))
    foreign = str(build_delegate(tmp_path / "foreign.so", "-DFOREIGN"))
    cases = [(library, f"fault={fault}", said) for fault, said in FAULTS.items()] + [
        (dying, "", "died of SIGABRT while it was loaded"),
        (foreign, "", "not a TFLite delegate"),
        ("edgetpu", "", "cannot be loaded"),
    ]

    def check(case: tuple[str, str, str]) -> Finding:
        settings = dataclasses.replace(
            Config().inference,
            models=str(face_model.bundle.parent),
            face=face_model.bundle.name,
            runtime=runtime,
            delegate=case[0],
            options=case[1],
        )
        outbox = dataclasses.replace(Config().outbox, path=str(tmp_path / "outbox.db"))
        return probe_model("face", dataclasses.replace(Config(), inference=settings, outbox=outbox))

    with ThreadPoolExecutor(4) as pool:
        for (_, _, said), finding in zip(cases, pool.map(check, cases), strict=True):
            assert finding.state == "warning", said
            assert said in finding.advice
            assert "cpu; 2 checksums and the golden answers are right" in finding.found


def test_a_verdict_is_remembered_for_what_it_is_of(
    workload: Workload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = build_delegate(tmp_path / "delegate.so")
    file, tried = tmp_path / "delegates.json", []

    def counted(*what: object) -> Verdict:
        tried.append(what)
        return trial.try_out(*what)  # type: ignore[arg-type]

    monkeypatch.setattr(trials, "try_out", counted)

    def verdict(options: str = "") -> Verdict:
        return Trials(VerdictCache(file, "1")).verdict(workload, External(str(library), options))

    assert verdict().good
    assert verdict() == verdict()
    assert len(tried) == 1
    assert "no device found" in verdict("fault=refuse").fault
    build_delegate(library, fault="nothing")  # an upgrade that is none
    assert "takes none" in verdict().fault
    assert "takes none" in verdict().fault
    assert len(tried) == 3
    file.write_text("[", encoding="utf-8")
    assert "takes none" in verdict().fault
    assert len(tried) == 4


def test_what_failed_in_use_is_left_alone_until_it_is_checked(
    face_model: Made, library: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle, wanted, cache = (
        Bundle.load(face_model.bundle),
        Wanted(library),
        VerdictCache(tmp_path / "delegates.json", "1"),
    )
    mark = tmp_path / "delegate-in-use"

    def start(*, stop: bool = True) -> Model:
        """Open the model as a daemon does, and stop in order or not."""
        marks = InUse(mark)
        model = open_model(bundle, "int8", wanted=wanted, trials=Trials(cache, marks))
        if stop:
            marks.clear()
        return model

    assert start(stop=False).delegate == library
    left = mark.read_bytes()
    assert start().delegate == library  # beside one that runs
    in_use.clear_all()
    assert start().delegate == library
    mark.write_bytes(left.replace(b'"boot": "', b'"boot": "another'))  # a power cut
    assert start().delegate == library

    mark.write_bytes(left)
    with caplog.at_level(logging.WARNING):
        model = start()
    assert model.delegate == "cpu"
    assert "affectd ended without a stop while it was used" in model.delegate_reason
    assert model.delegate_reason in caplog.text
    assert start().delegate == "cpu"
    workload = Workload(bundle, "int8", load_runtime("auto"))
    assert not choose(wanted, workload, Trials(cache, anew=True)).fell_back
    assert start().delegate == library


def test_a_trial_that_fills_the_memory_of_the_service_is_ended_before_the_kernel_ends_the_service(
    workload: Workload, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = tmp_path / "unit"
    group.mkdir()
    for name, content in (("max", "503316480"), ("current", "500000000"), ("stat", "anon 1\ninactive_file 20000000\n")):
        (group / f"memory.{name}").write_text(content)
    (tmp_path / "own").write_text("0::/unit\n")
    monkeypatch.setattr(limits, "_OWN", tmp_path / "own")
    monkeypatch.setattr(limits, "_GROUPS", tmp_path)
    assert limits.memory_left() == 23_316_480
    assert trial.try_out(workload, External(library)).fault == (
        "needs more memory than this service may hold (MemoryMax=, 480 MB)"
    )
    (group / "memory.max").write_text("max\n")
    assert limits.memory_left() is None
    assert trial.try_out(workload, External(library)).good


def test_auto_keeps_the_fastest_that_is_right(
    workload: Workload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = VerdictCache(tmp_path / "delegates.json", "1")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    assert choose(Wanted("auto"), workload, Trials(cache)).reason == "no accelerator is here"

    def auto(cpu: float, teflon: float, vx: float) -> str:
        """Choose from what these took, in milliseconds."""
        for accelerator, ms in ((Cpu(), cpu), (External("teflon"), teflon), (External("vx"), vx)):
            cache.store(cache.key(workload, accelerator), Verdict("" if ms else "answers wrongly", ms, "some"))
        return str(choose(Wanted("auto"), workload, Trials(cache)))

    for name in ("libteflon.so", "libvx_delegate.so"):
        (tmp_path / name).write_text(name)
    assert auto(10.0, 5.0, 4.0) == "vx (some, 4 ms)"
    assert auto(10.0, 5.0, 0.0) == "teflon (some, 5 ms)"
    assert auto(10.0, 9.5, 11.0) == "cpu (some, 10 ms)"
    assert choose(Wanted("auto"), workload, Trials(cache)).reason == "cpu: 10 ms; teflon: 9.5 ms; vx: 11 ms"


def test_no_threads_means_as_many_as_are_fastest(workload: Workload, tmp_path: Path) -> None:
    cache = VerdictCache(tmp_path / "delegates.json", "1")

    def fastest(*ms: float) -> int:
        for threads, each in zip((1, 2, 4), ms, strict=True):
            cache.store(cache.key(workload, Cpu(threads)), Verdict("", each, "all operations"))
        choice = choose(Wanted(threads=0), workload, Trials(cache))
        return choice.accelerator.threads

    assert fastest(10.0, 9.5, 9.4) == 1
    assert fastest(10.0, 6.0, 5.9) == 2


def test_the_gpu_says_what_it_does_not_run(face_model: Made) -> None:
    bundle = Bundle.load(face_model.bundle)
    of_int8 = trial.try_out(Workload(bundle, "int8", load_runtime("litert")), Gpu())
    assert 'runs float16 and float32; set inference.variant = "float16"' in of_int8.fault
    assert (
        "no GPU that LiteRT can use" in trial.try_out(Workload(bundle, "float32", load_runtime("litert")), Gpu()).fault
    )


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", {}),
        ("device=usb:0", {"device": "usb:0"}),
        (
            "backends=GpuAcc,CpuAcc, logging-severity = error",
            {"backends": "GpuAcc,CpuAcc", "logging-severity": "error"},
        ),
        ("a=b=c,d=", {"a": "b=c", "d": ""}),
    ],
)
def test_options_are_read(text: str, options: dict[str, str]) -> None:
    assert parse_options(text) == options


@pytest.mark.parametrize("text", ["usb", "=usb", "a b=c", "a=b,a=c", ",a=b"])
def test_options_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_options(text)
