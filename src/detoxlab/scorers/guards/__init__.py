"""Language models that judge texts by a generated verdict ("safe", "Yes"), as scorers.

    load_scorer("guard:llama-guard-3=meta-llama/Llama-Guard-3-1B")
    load_scorer("guard:shieldgemma=google/shieldgemma-2b#hate+harassment")
    load_scorer("guard:qwen3guard=http://localhost:8000/v1#Qwen3Guard-Gen-0.6B")

`formats` has prompt and verdicts of each family, `names` the names above, `local` and `remote` the
two ways to ask a model, `verdicts` the score of an answer, `scorer` the scorer.
"""
