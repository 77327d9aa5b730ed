"""Settings of responses that another program drew: the reading of their file, and the scorers."""

from pydantic import Field

from detoxlab.data.repeats import Repeats
from detoxlab.protocols import HATE_SCORER
from detoxlab.recipe.measuring import ENCODER, Encoder, HateScorer, Intervals


class ScoreSettings(Intervals):
    """One `score` command on a file."""

    prompt_column: str = Field("prompt", description="column of the prompts")
    response_column: str = Field("response", description="column of the responses")
    id_column: str | None = Field(None, description="column of the prompts' ids")
    score_columns: dict[str, str] = Field(
        {}, description="scorer: column of scores that the file brings; an empty cell is missing"
    )
    missing_values: tuple[str, ...] = Field(
        (), description="texts that stand for no score in those columns, such as -1 or n/a"
    )
    repeats: Repeats = Field(
        "auto",
        description="rows that repeat a prompt are samples, prompts apart, or dropped (first); "
        "auto: samples if every prompt has as many rows, else apart",
    )
    skip_nulls: bool = Field(
        False, description="leave out, and count, rows whose prompt or response is null"
    )
    scorers: tuple[str, ...] = Field((), description="scorers to run on the responses")
    judge: str | None = Field(
        None, description="the scorer that judges; none: that of the file's first score column"
    )
    second: str | None = Field(
        None, description="the scorer that cross-checks; of a saved run, 'none' for none"
    )
    hate: HateScorer = HATE_SCORER
    encoder: Encoder = ENCODER
