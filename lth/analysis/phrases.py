"""Turns of phrase that several sections share."""

from collections.abc import Sequence

from lth.analysis.document import Interval


def percent(share: float) -> str:
    """Return a fraction as '16.8 %'."""
    return f"{100 * share:.1f} %"


def points(difference: Interval) -> str:
    """Return a difference of rates as '+1.2 points', with '95 % interval −0.3 to +2.5' after a comma if it is known."""
    value, *ends = ("" if end is None else f"{100 * end:+.1f}".replace("-", "\N{MINUS SIGN}") for end in difference)
    return f"{value} points" + (f", 95 % interval {' to '.join(ends)}" if all(ends) else "")


def join_names(names: Sequence[str], most: int = 3) -> str:
    """Join names: 'a, b, c and 4 more'."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
