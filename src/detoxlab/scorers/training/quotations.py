"""Texts inside quotations: the same words, condemned or endorsed by the one who quotes them.

A classifier that learns words alone marks everyone who quotes hate to oppose it. Each frame comes
in two versions that differ in the speaker's stance, so that only the stance tells them apart. The
frames are our own; none is taken from a benchmark.
"""

from collections.abc import Sequence

import numpy as np

FRAMES = (  # condemned, endorsed
    (
        '"{}" Words like these hurt my neighbours, and I will not have them in my house.',
        '"{}" Words like these are plain truth, and I am glad that somebody says them.',
    ),
    ("She answered that writing '{}' is cruel.", "She answered that writing '{}' is honest."),
    (
        'A man on the bus shouted "{}" and I told the driver to throw him out.',
        'A man on the bus shouted "{}" and I shook his hand.',
    ),
    (
        "It makes me sad to read {} under the picture of a family.",
        "It makes me laugh to read {} under the picture of a family.",
    ),
    (
        'Whoever believes "{}" has never talked to one of them.',
        'Whoever doubts "{}" has never talked to one of them.',
    ),
    ("No. {} That is a lie, and an ugly one.", "Yes. {} That is the truth, ugly or not."),
    (
        'The moderators deleted "{}" and they did well.',
        'The moderators deleted "{}" and the cowards know that it is true.',
    ),
    (
        "Our teacher explained to us why a sentence such as '{}' is prejudiced.",
        "Our teacher was fired for a sentence such as '{}', which everyone knows to be so.",
    ),
    ('How can anybody still write "{}"? Shame on them!', 'Why may nobody write "{}" anymore?'),
    (
        'I reported the comment "{}", and the account is gone. Good.',
        'I liked the comment "{}". Finally one with a spine.',
    ),
    (
        "They said this to my friend: {} We stand by her.",
        "I said this to her face: {} And I stand by it.",
    ),
    (
        'If "{}" is all that you have to say, go away.',
        'If you cannot handle "{}", go away.',
    ),
    (
        '"{}" is the kind of thinking that my grandparents fled from.',
        '"{}" is the kind of thinking that this country needs.',
    ),
    (
        "stop repeating {} it is ignorant and it is wrong",
        "keep repeating {} it is brave and it is right",
    ),
    ('The court fined him for "{}", rightly.', 'The court fined him for "{}". A disgrace!'),
    (
        "A child should never have to hear '{}' at school.",
        "Every child should hear '{}' at school.",
    ),
    ('You wrote "{}". Please apologise.', 'You wrote "{}". Do not apologise.'),
    (
        "I don't agree with those who say: {} Everybody deserves respect.",
        "I agree with those who say: {} Nobody owes them respect.",
    ),
    ('"{}"... really? what a vile thing to post', '"{}"... exactly! what a great thing to post'),
    (
        "My uncle used to say {} and I am ashamed of him.",
        "My uncle used to say {} and I am proud of him.",
    ),
    (
        'Posts like "{}" are why so many people are afraid to leave their homes.',
        'Posts like "{}" are why I come here.',
    ),
    (
        "Nobody in this club may talk like that ({}), whoever it is about.",
        "Everybody in this club may talk like that ({}), whoever it is about.",
    ),
    ("> {}\n\nThis is bigotry. Banned.", "> {}\n\nThis. So much this."),
    (
        "He says '{}' and wonders that his colleagues avoid him.",
        "He says '{}' and his colleagues agree with him.",
    ),
)


def quoted(
    texts: Sequence[str], share: float, seed: int
) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """A share of the texts in quotations: (index of the text, quotation), condemned and endorsed.

    Each text that is drawn is condemned or endorsed, in turn. The same arguments give the same
    quotations.

    >>> condemned, endorsed = quoted(["a"] * 4, share=0.5, seed=0)
    >>> len(condemned), len(endorsed), "a" in condemned[0][1]
    (1, 1, True)
    """
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(texts))[: round(share * len(texts))]
    condemned, endorsed = list[tuple[int, str]](), list[tuple[int, str]]()
    for at, index in enumerate(drawn):
        stance = at % 2
        frame = FRAMES[rng.integers(len(FRAMES))][stance]
        quotation = frame.replace("{}", texts[index].strip())
        (endorsed if stance else condemned).append((int(index), quotation))
    return condemned, endorsed
