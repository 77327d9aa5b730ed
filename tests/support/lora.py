"""Random LoRA adapters of tiny models, as PEFT writes them."""

import warnings
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model


def save_lora(
    folder: Path, model: Any, seed: int = 0, spread: float = 0.3, **settings: Any
) -> Path:
    """A random adapter of a model, which is changed: give a copy. `spread` 0 changes no output."""
    config = LoraConfig(**{"r": 4, "lora_alpha": 6, "target_modules": "all-linear", **settings})
    with warnings.catch_warnings():  # GPT-2 stores its weights the other way round; ties
        warnings.simplefilter("ignore", UserWarning)
        adapted = get_peft_model(model, config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(std=spread, generator=generator) if spread else parameter.zero_()
            elif ".lora_A." in name:
                parameter.normal_(std=0.3, generator=generator)
    adapted.save_pretrained(folder)
    return folder
