"""The sections of an audit that score the texts of a set; `probes` has those that need no data.

To add one, write an `AuditSection` and put it into `SECTIONS`.
"""

from detoxlab.audits.sections.answers import COUNTER_SPEECH
from detoxlab.audits.sections.base import AuditSection
from detoxlab.audits.sections.changed import LENGTH, SPELLING
from detoxlab.audits.sections.hatecheck import HATECHECK
from detoxlab.audits.sections.identity import IDENTITY
from detoxlab.audits.sections.languages import LANGUAGES, MULTILINGUAL_HATECHECK
from detoxlab.audits.sections.perspective import PERSPECTIVE
from detoxlab.audits.sections.ratings import DGHS, TOXIGEN

SECTIONS: dict[str, AuditSection] = {
    one.key: one
    for one in (
        HATECHECK,
        PERSPECTIVE,
        TOXIGEN,
        DGHS,
        *COUNTER_SPEECH,
        MULTILINGUAL_HATECHECK,
        LANGUAGES,
        IDENTITY,
        LENGTH,
        SPELLING,
    )
}

__all__ = ["SECTIONS", "AuditSection"]
