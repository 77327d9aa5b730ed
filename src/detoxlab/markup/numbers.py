"""Numbers in the form for readers, one form everywhere; None is "unknown", never 0."""

import math

UNKNOWN = "unknown"
NO_BREAK = "\u00a0"
POINTS = {"share"}
NOTHING = 1e-9  # smaller numbers are 0 but for rounding


def number(value: float | None, unit: str = "share") -> str:
    """The value in its unit: shares in per cent, other values to three or four digits.

    Shares under one per cent get a second digit, so that a rare event does not look like none.

    >>> number(0.1234), number(0.0004), number(0.0), number(None), number(25.456, "perplexity")
    ('12.3\xa0%', '0.04\xa0%', '0.0\xa0%', 'unknown', '25.5')
    """
    if value is None or math.isnan(value):
        return UNKNOWN
    if unit in POINTS:
        return f"{_hundredths(value)}{NO_BREAK}%"
    return plain(value)


def difference(value: float | None, unit: str = "share", *, digits: int | None = None) -> str:
    """A signed difference; differences of shares are in percentage points.

    `digits` are those after the point, in place of the usual ones.

    >>> difference(-0.188), difference(0.02, "score"), difference(None)
    ('−18.8\xa0pts', '+0.020', 'unknown')
    """
    if value is None or math.isnan(value):
        return UNKNOWN
    if unit in POINTS:
        text = _hundredths(value) if digits is None else fixed(100 * value, digits)
        return f"{with_sign(text)}{NO_BREAK}pts"
    return with_sign(plain(value) if digits is None else fixed(value, digits))


def interval(low: float | None, high: float | None, unit: str = "share") -> str:
    """Both ends of an interval, or "unknown" where one is missing.

    >>> interval(0.1, 0.25), interval(None, 0.2)
    ('10.0 to 25.0\xa0%', 'unknown')
    """
    if low is None or high is None:
        return UNKNOWN
    if unit in POINTS:
        return f"{_hundredths(low)} to {_hundredths(high)}{NO_BREAK}%"
    digits = _digits(max(abs(low), abs(high)))
    return f"{fixed(low, digits)} to {fixed(high, digits)}"


def span(low: float | None, high: float | None, unit: str = "share") -> str:
    """Both ends of a difference's interval, signed.

    >>> span(-0.21, -0.165), span(8.12, 11.42, "perplexity"), span(None, None)
    ('−21.0 to −16.5\xa0pts', '+8.1 to +11.4', 'unknown')
    """
    if low is None or high is None:
        return UNKNOWN
    if unit in POINTS:
        return f"{with_sign(_hundredths(low))} to {with_sign(_hundredths(high))}{NO_BREAK}pts"
    digits = _digits(max(abs(low), abs(high)))
    return f"{with_sign(fixed(low, digits))} to {with_sign(fixed(high, digits))}"


def fixed(value: float, digits: int) -> str:
    """The value with so many digits; what rounds to 0 has no sign.

    >>> fixed(-1.26, 1), fixed(-0.01, 1)
    ('−1.3', '0.0')
    """
    text = f"{value:.{digits}f}"
    return (text[1:] if float(text) == 0 and text.startswith("-") else text).replace("-", "−")


def plain(value: float) -> str:
    """The value with three or four digits.

    >>> plain(1.23456), plain(123.456), plain(123456.7)
    ('1.235', '123.5', '1.23e+05')
    """
    if abs(value) >= 1e5:
        return f"{value:.3g}".replace("-", "−")
    return fixed(value, _digits(abs(value)))


def with_sign(text: str) -> str:
    """The text of a number with its sign; 0 has none.

    >>> with_sign("1.2"), with_sign("−1.2"), with_sign("0.0")
    ('+1.2', '−1.2', '0.0')
    """
    return text if text.startswith("−") or not text.strip("0.") else f"+{text}"


# --- inside ---


def _hundredths(value: float) -> str:
    """A share in per cent: one digit, two under one per cent, more where it would read 0."""
    size = abs(100 * value)
    if size < NOTHING:
        return fixed(0.0, 1)
    digits = 1 if size >= 0.995 else 2
    return fixed(100 * value, next(n for n in range(digits, 12) if round(size, n) or n == 11))


def _digits(size: float) -> int:
    return 3 if size < 10 else 1 if size < 1000 else 0
