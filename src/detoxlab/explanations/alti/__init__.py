"""ALTI-Logit, and what it needs of a model.

layouts      where each architecture keeps its parts
linear       layers as linear maps
capture      what one forward pass shows, layer by layer
influence    how much each token's state in a layer owes to each token (ALTI)
mixing       the product of these shares over the layers
pull         a target's derivative with respect to the residual stream
logits       ALTI-Logit itself
"""

from detoxlab.explanations.alti.logits import AltiLogit

__all__ = ["AltiLogit"]
