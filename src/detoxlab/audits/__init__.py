"""Audits of scorers: how far their scores can be believed, before a model is judged by them.

`detoxlab audit` scores labelled sets (`sections`) and probes the scorer (`probes`); the figures of
one scorer and attribute are its card (`card`).

    card = load_card("rtp-neural@1")                      # of the attribute toxicity
    card.figure("hatecheck", "denouncements_marked")      # a Measurement with interval and n
"""
