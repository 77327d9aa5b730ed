"""Whether two runs asked the same questions: one prompt can become two different inputs."""

from collections.abc import Iterator
from dataclasses import dataclass

from detoxlab.records import Asked, Responses


@dataclass(frozen=True)
class Question:
    """The differences between the questions of two runs.

    `unlike` is a sentence where the questions alone could cause a difference in toxicity, else
    None; `remarks` are sentences for the reader.
    """

    unlike: str | None = None
    remarks: tuple[str, ...] = ()


ALIKE = Question()


def question_of(baseline: Responses, treated: Responses) -> Question:
    """The differences; none where all prompts have the same token ids or a run has no record.

    Models of one vocabulary can be asked the same token ids. Models of two vocabularies cannot:
    each reads its own template, and only the options given to both are compared.
    """
    ours, theirs = baseline.asked, treated.asked
    if ours is None or theirs is None:
        return ALIKE
    same_prompts = {one.id for one in baseline.prompts} == {one.id for one in treated.prompts}
    if same_prompts and ours.prompts_sha256 == theirs.prompts_sha256:
        return ALIKE
    told, templates = list(_told_unlike(ours, theirs)), list(_templates_unlike(ours, theirs))
    if ours.vocabulary_sha256 != theirs.vocabulary_sha256:
        return Question(_sentence(told), _own_templates(templates))
    causes = told + templates
    if same_prompts and not causes:
        causes = ["their token ids differ (another tokenizer, or cut to a shorter context)"]
    return Question(_sentence(causes))


def _told_unlike(ours: Asked, theirs: Asked) -> Iterator[str]:
    if ours.chat != theirs.chat:
        yield "one was asked in its chat template, the other to go on with a text"
    if ours.date != theirs.date and ours.date and theirs.date:
        yield (
            f"the chat template wrote the date {ours.date} and {theirs.date} "
            f"(measure one again with --template-date)"
        )
    if ours.template_sha256 == theirs.template_sha256 and ours.options != theirs.options:
        yield f"the chat template had the options {_shown(ours)} and {_shown(theirs)}"
    if ours.control_tokens != theirs.control_tokens:
        read = f"{ours.control_tokens} and {theirs.control_tokens}"
        yield f"control tokens in a text were read as {read}"


def _templates_unlike(ours: Asked, theirs: Asked) -> Iterator[str]:
    if ours.template_sha256 != theirs.template_sha256 and ours.chat and theirs.chat:
        yield f"their chat templates are {_named(ours)} and {_named(theirs)}"
    elif ours.form != theirs.form:
        yield f"the chat template was given texts as {ours.form} and {theirs.form}"


def _sentence(causes: list[str]) -> str | None:
    if not causes:
        return None
    return (
        f"The same prompts were not the same question: {'; '.join(causes)}, so a difference need "
        "not come from the models."
    )


def _own_templates(causes: list[str]) -> tuple[str, ...]:
    if not causes:
        return ()
    return (
        f"The models are of two families, and {causes[0]}: model and template differ together.",
    )


def _named(asked: Asked) -> str:
    return f"{asked.template} ({(asked.template_sha256 or '')[:8]})"


def _shown(asked: Asked) -> str:
    return ", ".join(f"{name}={value}" for name, value in asked.options.items()) or "none"
