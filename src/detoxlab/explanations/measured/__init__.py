"""Explanations of the responses of measured runs.

explainer      responses as rows of their explanations
rows           such a row
catalogue      the measures of rows
table          their measurements, and the differences between two models
faithfulness   whether a method finds the tokens that matter
toxic_words    which words of a response pull the scorer, and which words of the prompt stand behind
prompt_words   the words of prompts that pull most, over a run
explained      the results of an explained run
sentences      what they say
inseq          rows in the layout of Inseq's loader
"""
