"""How a training run goes: stages, rates, optimizer; what its config.json records of it."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stretch of epochs at one image size (voice models have one size, 0)."""

    epochs: int
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that decides how a run goes, besides data and network."""

    stages: tuple[Stage, ...]
    engine: str = "keras"
    """'keras', or 'torch' for networks of convolutions: `engine.py`."""
    batch_size: int = 64
    optimizer: str = "sgd"
    """'sgd' with Nesterov momentum 0.9, 'adamw', or 'adamax'."""
    peak_rate: float = 0.04
    warmup: float = 0.15
    """Share of all steps in which the learning rate climbs to its peak; a cosine takes it back to 0."""
    weight_decay: float = 5e-4
    clip_norm: float = 5.0
    sharpness: float = 0.0
    """Radius of sharpness-aware minimization (Foret et al. 2021), the length of its step uphill; 0: not used."""
    precision: str = "mixed_bfloat16"
    """'mixed_bfloat16' is faster where the processor has it, and where it has not, 50 times slower than 'float32'."""
    seed: int = 1

    @property
    def epochs(self) -> int:
        """All epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def stage_of(self, epoch: int) -> Stage:
        """Return the stage that epoch (from 0) belongs to."""
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage
            epoch -= stage.epochs
        return self.stages[-1]

    def rate(self, progress: float) -> float:
        """Return the learning rate at `progress` 0..1 of the run: warm-up, then a cosine to 0."""
        if progress < self.warmup:
            return self.peak_rate * max(progress / self.warmup, 0.02)
        return self.peak_rate * 0.5 * (1 + math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup)))
