"""A random discriminant for SASA, as `train sasa` leaves it."""

from pathlib import Path

import torch

from detoxlab.steering.activations.files import Content, SiteMap, write_steering


def save_sasa(folder: Path, *, width: int, candidates: int) -> Path:
    generator = torch.Generator().manual_seed(7)
    line = {name: torch.randn(width, generator=generator) for name in ("normal", "mid")}
    content = Content("sasa", "response", {}, (), {"candidates": candidates})
    write_steering(folder, content, {"line": SiteMap("line", line)})
    return folder
