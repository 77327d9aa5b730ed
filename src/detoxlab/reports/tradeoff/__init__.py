"""The trade-off: toxicity of all variants against their usefulness, and the Pareto front.

axes     which numbers are drawn, of each run, and their resamples
front    who is on the front, who dominates whom, who cannot be on it
picture  the drawing, placing its labels
table    the same numbers and what each variant cost
section  all of it as a section of the report
"""
