"""Explanations of the responses of measured runs.

explainer      responses as rows of their explanations
rows           such a row
catalogue      the measures of rows
table          their measurements, and the differences between two models
faithfulness   whether a method finds the tokens that matter
"""
