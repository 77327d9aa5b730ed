"""Two models' responses to the same prompts, judged by a third model.

    likelihood   the response with the lower negative log-likelihood per token, given the prompt
    question     a question with two answers, A and B, asked in both orders after some examples

The judge gives two numbers per pair, which `detoxlab.measures.usefulness.win_rate` reads. It is a
model in this process (`judged`), or one at a server (`ServedJudge`), which is asked questions.
"""

from detoxlab.evaluations.win_rate.local import judged
from detoxlab.evaluations.win_rate.outcomes import Outcomes, no_votes
from detoxlab.evaluations.win_rate.pairs import NUMBERS, Pair, paired, question
from detoxlab.evaluations.win_rate.ranking import FILE, Contested, Ranking, rankings
from detoxlab.evaluations.win_rate.served import ServedJudge, questions

__all__ = [
    "FILE",
    "NUMBERS",
    "Contested",
    "Outcomes",
    "Pair",
    "Ranking",
    "ServedJudge",
    "judged",
    "no_votes",
    "paired",
    "question",
    "questions",
    "rankings",
]
