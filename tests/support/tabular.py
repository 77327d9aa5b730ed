"""A language model whose every sequence can be listed: a table of next-token logits.

Vocabulary 5, length 4: 156 prefixes, 625 sequences. All in float64, so that identities hold
to the last digits.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

VOCABULARY, LENGTH = 5, 4
SEQUENCES = VOCABULARY**LENGTH


@dataclass
class Tabular:
    """`levels[t]` are the next-token log-probabilities (5^t, 5) of all prefixes of length t."""

    levels: list[Tensor]

    @classmethod
    def random(cls, seed: int, scale: float = 1.0) -> "Tabular":
        generator = torch.Generator().manual_seed(seed)
        shapes = [(VOCABULARY**t, VOCABULARY) for t in range(LENGTH)]
        logits = [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]
        return cls([torch.log_softmax(scale * level, dim=-1) for level in logits])

    def sequence_log_probs(self) -> Tensor:
        """log p (625,) of all sequences in order."""
        total = torch.zeros(1, dtype=torch.float64)
        for level in self.levels:
            total = (total[:, None] + level).reshape(-1)
        return total

    def prefix_probs(self, t: int) -> Tensor:
        """How probable each prefix of length t is, (5^t,)."""
        return self.sequence_log_probs().exp().reshape(VOCABULARY**t, -1).sum(dim=-1)

    def acceptances(self, accepted: Tensor) -> list[Tensor]:
        """Exact R of the prefixes of lengths 0 to 4: sums over all their endings."""
        probs = self.sequence_log_probs().exp()
        found = []
        for t in range(LENGTH + 1):
            joint = (probs * accepted).reshape(VOCABULARY**t, -1).sum(dim=-1)
            found.append(joint / self.prefix_probs(t))
        return found

    def log_p(self) -> Tensor:
        """Every prefix's next-token log-probabilities, (156, 5), by length."""
        return torch.cat(self.levels)

    def with_log_p(self, log_p: Tensor) -> "Tabular":
        return Tabular(list(log_p.split([len(level) for level in self.levels])))

    def all_prefix_probs(self) -> Tensor:
        """(156,): how often each prefix is visited by a sequence."""
        return torch.cat([self.prefix_probs(t) for t in range(LENGTH)])


def oracle(seed: int, share: float) -> Tensor:
    """A 0/1 label (625,) that accepts about `share` of the sequences; each prefix has both."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(SEQUENCES, generator=generator) < share).double()


def next_logits(acceptances: list[Tensor]) -> Tensor:
    """The ideal head: logit of R for every prefix and next token, (156, 5)."""
    after = [acceptances[t + 1].reshape(-1, VOCABULARY) for t in range(LENGTH)]
    return torch.logit(torch.cat(after), eps=1e-12)


def kl(q: Tensor, p: Tensor) -> float:
    """KL(q || p) in nats of two lists of log-probabilities."""
    terms = torch.where(q > -torch.inf, q.exp() * (q - p), 0.0)
    return float(terms.sum())
