"""The tiny model under an adapter, and its divergences in plain probabilities, row by row."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace

import torch
from peft import get_peft_model
from torch import Tensor
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling
from trl.trainer.utils import add_fused_lm_head

from detoxlab.auxiliary.features import Sample
from detoxlab.auxiliary.head import AuxiliaryHead, HeadShape
from detoxlab.methods.loop.adapters import lora_config
from detoxlab.methods.regularised.anchor import Anchor
from detoxlab.methods.regularised.config import RegularisedConfig
from detoxlab.methods.regularised.forward import Joined
from detoxlab.methods.regularised.penalty import Penalty
from detoxlab.methods.regularised.targets import ResponseSpan
from detoxlab.models import LanguageModel, evaluating
from detoxlab.models.hidden import watching_hidden_states
from tests.support.tiny import tiny_lm

Factor = Callable[[Tensor], Tensor]
"""By what a constraint multiplies the probability of a token, from R after it."""


def adapted(config: RegularisedConfig) -> Anchor:
    """An anchor of the tiny model with a new adapter, which changes nothing yet."""
    lm = tiny_lm()
    add_fused_lm_head(lm.model)
    trainer = SimpleNamespace(
        model=get_peft_model(lm.model, lora_config(config, lm.model)),
        accelerator=SimpleNamespace(autocast=contextlib.nullcontext),
        data_collator=DataCollatorForLanguageModeling(pad_token_id=lm.pad_id),
    )
    lm.model.eval()
    return Anchor(config.anchor, lm, trainer)


def move(lm: LanguageModel, seed: int) -> None:
    """Give the adapter other weights: the policy moves."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in lm.model.parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter, std=0.3, generator=generator)


def random_head(lm: LanguageModel, seed: int = 0) -> AuxiliaryHead:
    """A head that knows nothing and yet says something else of every token and prefix."""
    vocabulary, width = lm.model.get_output_embeddings().weight.shape
    head = AuxiliaryHead(HeadShape(width, vocabulary, tied=False))
    generator = torch.Generator().manual_seed(seed)
    for parameter in (head.out.weight, head.bias_V):
        torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    return head.eval()


def term(
    penalty: Penalty,
    rows: Mapping[int, Sequence[int]],
    beside: Mapping[str, list[int]] = MappingProxyType({}),
) -> float:
    """What the penalty asks of a batch of these rows, by number, and of responses beside it."""
    lm = penalty.anchor.lm
    batch = penalty.anchor.trainer.data_collator(
        [{"input_ids": list(ids), "labels": list(ids)} for ids in rows.values()]
    )
    joined = Joined(lm.model, penalty.rows_of(beside), lm.pad_id)
    with watching_hidden_states(lm) as watched:
        joined(**batch, use_cache=False, fused_lm_head=True)
    return penalty.term(list(rows), beside, joined.outputs, watched.take()).item()


@dataclass(frozen=True)
class Reading:
    """What a model and a head say after each token of a row: p and R of every next one, (T, V)."""

    p_TV: Tensor
    r_TV: Tensor

    @classmethod
    def of(
        cls,
        lm: LanguageModel,
        ids: Sequence[int],
        head: AuxiliaryHead | None = None,
        temperature: float = 1.0,
    ) -> "Reading":
        with evaluating(lm):
            outputs = lm.model(torch.tensor([ids]), output_hidden_states=True, use_cache=False)
            p_TV = torch.softmax(outputs.logits[0].double() / temperature, dim=-1)
            hidden_TD = outputs.hidden_states[-1][0]
            r_TV = torch.ones_like(p_TV) if head is None else head(hidden_TD).double().sigmoid()
        return cls(p_TV, r_TV)


def log_prob(lm: LanguageModel, sample: Sample, temperature: float = 1.0) -> float:
    """Log-probability of a whole response, drawn at a temperature."""
    ids, first = sample.prompt_ids + sample.ids, len(sample.prompt_ids)
    p_TV = Reading.of(lm, ids, temperature=temperature).p_TV
    return sum(float(p_TV[i - 1, ids[i]].log()) for i in range(first, len(ids)))


def divergences(
    anchor: Reading, policy: Reading, span: ResponseSpan, factor: Factor
) -> list[tuple[float, float]]:
    """At each prefix of a response KL(q || policy), with q ~ anchor * factor(R), and its own R."""
    found = []
    for i in range(span.start, span.stop):
        p_V, r_V = anchor.p_TV[i - 1], anchor.r_TV[i - 1]
        q_V = p_V * factor(r_V)
        q_V = q_V / q_V.sum()
        kl = (q_V * (q_V / policy.p_TV[i - 1]).log()).sum()
        begins = i == span.start
        own = (p_V * r_V).sum() if begins else anchor.r_TV[i - 2, span.ids[i - 1]]
        found.append((float(kl), float(own)))
    return found
