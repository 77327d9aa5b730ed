"""The parts of each architecture: `table` names them, `sites` finds them in a model.

`hooks` reads and changes activations at sites; `biases` switches on biases that a config lacks.
"""
