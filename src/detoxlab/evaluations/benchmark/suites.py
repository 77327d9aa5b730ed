"""The benchmarks by name, and the tasks of lm-evaluation-harness that each consists of."""

from dataclasses import dataclass

MMLU_SUBJECTS = [
    "abstract_algebra",
    "anatomy",
    "astronomy",
    "business_ethics",
    "clinical_knowledge",
    "college_biology",
    "college_chemistry",
    "college_computer_science",
    "college_mathematics",
    "college_medicine",
    "college_physics",
    "computer_security",
    "conceptual_physics",
    "econometrics",
    "electrical_engineering",
    "elementary_mathematics",
    "formal_logic",
    "global_facts",
    "high_school_biology",
    "high_school_chemistry",
    "high_school_computer_science",
    "high_school_european_history",
    "high_school_geography",
    "high_school_government_and_politics",
    "high_school_macroeconomics",
    "high_school_mathematics",
    "high_school_microeconomics",
    "high_school_physics",
    "high_school_psychology",
    "high_school_statistics",
    "high_school_us_history",
    "high_school_world_history",
    "human_aging",
    "human_sexuality",
    "international_law",
    "jurisprudence",
    "logical_fallacies",
    "machine_learning",
    "management",
    "marketing",
    "medical_genetics",
    "miscellaneous",
    "moral_disputes",
    "moral_scenarios",
    "nutrition",
    "philosophy",
    "prehistory",
    "professional_accounting",
    "professional_law",
    "professional_medicine",
    "professional_psychology",
    "public_relations",
    "security_studies",
    "sociology",
    "us_foreign_policy",
    "virology",
    "world_religions",
]
COMMONSENSE = (
    "boolq",
    "piqa",
    "hellaswag",
    "winogrande",
    "arc_easy",
    "arc_challenge",
    "openbookqa",
)
MMLU = "mmlu_"  # begins the harness's name of each subject


@dataclass(frozen=True)
class Suite:
    """Tasks of the harness that are reported together.

    `shots` are the examples before each question, by the field's convention. `pooled` says
    whether the items of all tasks also make one number (micro mean).
    """

    tasks: tuple[str, ...]
    shots: int | None = None
    pooled: bool = False


SUITES: dict[str, Suite] = {
    "mmlu": Suite(tuple(MMLU + name for name in MMLU_SUBJECTS), shots=5, pooled=True),
    "commonsense": Suite(COMMONSENSE, shots=0),
    "lambada": Suite(("lambada_openai",), shots=0),
}


def suite_of(name: str) -> Suite:
    """The suite of that name; any other name is that of one task of the harness.

    A single subject of MMLU is asked with five examples too.

    >>> suite_of("piqa").tasks, suite_of("mmlu_anatomy").shots
    (('piqa',), 5)
    """
    if name in SUITES:
        return SUITES[name]
    return Suite((name,), shots=5 if name in SUITES["mmlu"].tasks else None)
