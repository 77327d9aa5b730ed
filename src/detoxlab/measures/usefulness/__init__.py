"""Usefulness: measures of benchmarks (`entries`), means over tasks (`strata`), and win rates."""
