"""Audits scorers: scores labelled sets, computes the figures, writes the page and the cards."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from detoxlab import provenance
from detoxlab.audits.card import Absent, Audit, SectionResult, card_file, load_card, store_card
from detoxlab.audits.examine import (
    attributes_to_audit,
    examined,
    probed,
    score_texts,
    texts_of,
    threshold_of,
)
from detoxlab.audits.probes import PROBES
from detoxlab.audits.scored import Scored
from detoxlab.audits.sections import SECTIONS, AuditSection
from detoxlab.errors import MissingFileError
from detoxlab.pipeline.preflight import check_scorers
from detoxlab.progress import progress, say
from detoxlab.recipe.auditing import AuditSettings
from detoxlab.records import from_json, to_json
from detoxlab.reports.audited import write_audits
from detoxlab.runs import Run, read_json
from detoxlab.scorers import Scorer, load_scorer
from detoxlab.scorers.loading import with_cache


def audit_scorers(settings: AuditSettings, out: Path | str, *, resume: bool = False) -> Run:
    """The run at `out` with `audit.json`, `audit.md` and `audit.html` of all scorers.

    Each section is written when it is finished, and scores are cached as they come. An audit of
    every section on all texts is also stored as the scorer's card.
    """
    check_audit(settings, out, resume=resume)
    config = settings.run_config()
    run = Run.start(out, kind="audit", config=config, seed=settings.seed, resume=resume)
    with run.writing():
        audits = [one for name in settings.scorers for one in _audits_of(run, name, settings)]
        write_audits(audits, run.path)
        if settings.is_whole:
            for audit in audits:
                _keep_card(audit)
    return run


def check_audit(settings: AuditSettings, out: Path | str, *, resume: bool) -> list[str]:
    """Check scorers, data folder and `out`; the hub ids that could not be checked."""
    if not Path(settings.data).is_dir():
        raise MissingFileError(
            f"{settings.data}: no such folder", remedy="Name the folder of the sets with --data."
        )
    Run.check_startable(out, kind="audit", config=settings.run_config(), resume=resume)
    return check_scorers(settings.scorers)


def planned(settings: AuditSettings) -> tuple[list[AuditSection], list[Absent]]:
    """The sections whose data are there, and the absent ones with the reason."""
    present, absent = [], []
    for section in SECTIONS.values():
        if not settings.includes(section.key):
            continue
        try:
            section.files(Path(settings.data))
            present.append(section)
        except MissingFileError as error:
            absent.append(Absent(section.key, error.message))
    return present, absent


# --- inside ---


@dataclass(frozen=True)
class _Auditing:
    """One scorer in the course of its audit; `bare` is the scorer without its cache."""

    run: Run
    settings: AuditSettings
    bare: Scorer
    scorer: Scorer
    attributes: list[str]

    def file(self, key: str, attribute: str) -> Path:
        """The file of a finished section."""
        return self.run.path / "sections" / key / card_file(self.bare.id, attribute)

    def is_finished(self, key: str) -> bool:
        """Whether the section is on disk for every attribute."""
        return all(self.file(key, attribute).is_file() for attribute in self.attributes)

    def keep(self, result: SectionResult, attribute: str) -> None:
        """Write a finished section."""
        path = self.file(result.key, attribute).relative_to(self.run.path)
        self.run.write_json(str(path), to_json(result))


def _audits_of(run: Run, name: str, settings: AuditSettings) -> list[Audit]:
    bare = load_scorer(name, cache=False)
    scorer = with_cache(name, bare)
    attributes = attributes_to_audit(bare, settings.attributes)
    auditing = _Auditing(run, settings, bare, scorer, attributes)
    present, absent = planned(settings)
    for section in present:
        if not auditing.is_finished(section.key):
            _examine(auditing, section)
    probes = [key for key in PROBES if settings.includes(key)]
    for key in probes:
        if not auditing.is_finished(key):
            result = probed(key, bare, settings.seed)
            for attribute in attributes:
                auditing.keep(result, attribute)
    keys = [*(section.key for section in present), *probes]
    return [_audit(auditing, attribute, keys, absent) for attribute in attributes]


def _examine(auditing: _Auditing, section: AuditSection) -> None:
    """Score the texts of a section once, and write its figures for each attribute."""
    settings, bare = auditing.settings, auditing.bare
    prompts, files = texts_of(section, Path(settings.data), settings.limit, settings.seed)
    with progress(f"{bare.id}: {section.title}", len(prompts)) as advance:
        scores_NA = score_texts(auditing.scorer, [one.text for one in prompts], advance)
    for attribute in auditing.attributes:
        texts = Scored(
            prompts,
            scores_NA,
            tuple(bare.attributes),
            bare.id,
            attribute,
            threshold=threshold_of(bare, attribute, settings.threshold),
            held_out=settings.held_out,
            seed=settings.seed,
            resamples=settings.resamples,
        )
        auditing.keep(examined(section, texts, files), attribute)


def _audit(auditing: _Auditing, attribute: str, keys: list[str], absent: list[Absent]) -> Audit:
    settings = auditing.settings
    results = (read_json(auditing.file(key, attribute)) for key in keys)
    return Audit(
        scorer_id=auditing.bare.id,
        attribute=attribute,
        threshold=threshold_of(auditing.bare, attribute, settings.threshold),
        sections=tuple(from_json(SectionResult, one) for one in results),
        absent=tuple(absent),
        limit=settings.limit,
        seed=settings.seed,
        resamples=settings.resamples,
        facts=dict(_facts(auditing.run)),
    )


def _keep_card(audit: Audit) -> None:
    """Store the card, unless the present one has a section that this audit lacks."""
    present = load_card(audit.scorer_id, audit.attribute)
    lacking = [one.key for one in present.sections if not audit.section(one.key)] if present else []
    if lacking:
        say(f"{audit.name}: its card stays as it is, for it also has {', '.join(lacking)}")
    else:
        store_card(audit)


def _facts(run: Run) -> Iterator[tuple[str, object]]:
    """When the audit began, by which version, on which machine."""
    info = run.info
    yield "made", str(info["started"])[:10]
    yield "code_version", info["code_version"]
    yield "hardware", provenance.hardware()
