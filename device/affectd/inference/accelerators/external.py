"""TFLite's external delegates: a vendor's library that takes what it can of a network, the CPU does the rest."""

from __future__ import annotations

import ctypes
import hashlib
import os
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from affectd.errors import ModelError
from affectd.inference.accelerators.accelerator import Opened
from affectd.inference.accelerators.options import parse_options
from affectd.inference.interpreter import Interpreter, Runtime

ENTRY_POINTS = ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate")


@dataclass(frozen=True, slots=True)
class Library:
    """A vendor's library."""

    file: str
    """Name or path, as the dynamic linker takes it."""
    options: str = ""
    """Its default options, unless the settings have others."""


KNOWN: Mapping[str, Library] = MappingProxyType(
    {
        "edgetpu": Library("libedgetpu.so.1"),  # Coral; takes only what Google's compiler made for it
        "teflon": Library("libteflon.so"),  # Mesa: RK3588, VIM3 and others with a Vivante or Rockchip NPU
        "armnn": Library("libarmnnDelegate.so", "backends=GpuAcc,CpuAcc"),  # Arm NN: Mali
        "vx": Library("libvx_delegate.so"),  # VeriSilicon: i.MX 8M Plus, VIM3
    }
)


@dataclass(frozen=True, slots=True)
class External:
    """A delegate library with its options."""

    name: str
    """A name in KNOWN, or the library's path."""
    options: str = ""
    threads: int = 1

    @property
    def file(self) -> str:
        """The library's path, or the name by which the dynamic linker is to find it."""
        known = KNOWN.get(self.name)
        file = known.file if known else self.name
        return str(find_library(file) or file)

    def fingerprint(self) -> str:
        """Return the library's SHA-256; empty where it is not seen."""
        try:
            return hashlib.sha256(Path(self.file).read_bytes()).hexdigest()
        except OSError:
            return ""

    def open(self, path: Path, runtime: Runtime) -> Opened:
        """Open the model on the delegate. Raises ModelError where it fails or takes nothing; MemoryError."""
        interpreter = Interpreter(path, runtime, threads=self.threads, delegate=self._load(runtime))
        taken, operations = interpreter.delegated
        if not taken:
            raise ModelError(f"{self.file}: takes none of the model's {operations} operations")
        return Opened(interpreter, f"{taken} of {operations} operations")

    def _load(self, runtime: Runtime) -> Any:
        """Load the library and have it make its delegate. Raises ModelError."""
        library = self.file
        known = KNOWN.get(self.name)
        options = parse_options(self.options or (known.options if known else ""))
        try:
            # Looked at first: a runtime whose loading failed half-way complains again in its destructor.
            plugin = ctypes.CDLL(library)
        except OSError as error:
            raise ModelError(f"{library}: cannot be loaded: {error}") from error
        if not all(hasattr(plugin, name) for name in ENTRY_POINTS):
            raise ModelError(f"{library}: not a TFLite delegate, it lacks {' or '.join(ENTRY_POINTS)}")
        try:
            return runtime.module.load_delegate(library, options)
        except (OSError, AttributeError, ValueError, RuntimeError) as error:
            raise ModelError(f"{library}: no delegate from it: {' '.join(str(error).split())}") from error


def find_library(name: str) -> Path | None:
    """Return where a library lies, without loading it; None where it is not seen."""
    if "/" in name:
        return Path(name) if Path(name).is_file() else None
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    usual = [f"{root}/{below}" for root in ("/usr/local/lib", "/usr/lib", "/lib") for below in (multiarch, "")]
    usual.append("/usr/lib/teflon")  # where Debian puts Mesa's, which the linker does not look into
    for folder in [*filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":")), *usual]:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    return None
