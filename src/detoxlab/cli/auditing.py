"""`detoxlab audit`."""

from typing import Annotated

import typer

from detoxlab.audits.keys import PROBE_KEYS
from detoxlab.cli.common import arguments as arg
from detoxlab.cli.common.answers import Answer, answers
from detoxlab.cli.common.fields import Given, argument, from_fields
from detoxlab.recipe.auditing import AuditSettings

ASKED = {
    "--data": "data",
    "--attribute": "attributes",
    "--threshold": "threshold",
    "--limit": "limit",
    "--section": "sections",
    "--held-out": "held_out",
    **arg.INTERVALS,
}


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(audit)


@answers
@from_fields(asked=(AuditSettings, ASKED))
def audit(
    scorers: Annotated[list[str], argument(AuditSettings, "scorers")],
    out: arg.Out,
    asked: Given,
    set_: arg.Set = [],
    resume: arg.Resume = False,
    dry_run: arg.DryRun = False,
) -> Answer:
    """Say how far scorers can be believed: on hate, groups, counter-speech, against people.

    A set that is not in the folder is left out, and said so. An audit of all sets is stored as the
    scorer's card, which reports of runs then link.
    """
    from detoxlab.recipe.overrides import with_overrides
    from detoxlab.settings import parse

    given = with_overrides({"scorers": tuple(scorers)} | asked, set_)
    settings = parse(AuditSettings, given, place="audit")
    if not dry_run:
        arg.begin(f"audit {', '.join(scorers)}", out)
    from detoxlab.cli.common.show import audits_answer
    from detoxlab.pipeline.auditing import audit_scorers, check_audit, planned

    unchecked = check_audit(settings, out, resume=resume)
    present, absent = planned(settings)
    for one in absent:
        typer.echo(f"absent: {one.key} ({one.reason})", err=True)
    if dry_run:
        probes = [key for key in PROBE_KEYS if settings.includes(key)]
        keys = ", ".join([*(section.key for section in present), *probes])
        return Answer.of_plan(f"would audit {', '.join(scorers)} on {keys}", unchecked)
    return audits_answer(audit_scorers(settings, out, resume=resume))
