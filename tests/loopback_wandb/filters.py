"""The MongoDB-like filters of `Api().runs(filters=...)` and the orders that go with them."""

import re
from collections.abc import Callable
from typing import Any

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": lambda value, wanted: matches(value, wanted),
    "$ne": lambda value, wanted: not matches(value, wanted),
    "$not": lambda value, wanted: not matches(value, wanted),
    "$in": lambda value, wanted: any(matches(value, one) for one in wanted),
    "$nin": lambda value, wanted: not any(matches(value, one) for one in wanted),
    "$gt": lambda value, wanted: value > wanted,
    "$gte": lambda value, wanted: value >= wanted,
    "$lt": lambda value, wanted: value < wanted,
    "$lte": lambda value, wanted: value <= wanted,
    "$exists": lambda value, wanted: (value is not None) == wanted,
    "$regex": lambda value, wanted: re.search(wanted, value or "") is not None,
}


def accepts(filters: dict | None, document: dict) -> bool:
    """Whether a run's document passes the filters."""
    return all(accepts_one(key, wanted, document) for key, wanted in (filters or {}).items())


def accepts_one(key: str, wanted: Any, document: dict) -> bool:
    if key == "$and":
        return all(accepts(one, document) for one in wanted)
    if key == "$or":
        return any(accepts(one, document) for one in wanted)
    if key == "$not":
        return not accepts(wanted, document)
    return matches(lookup(document, key), wanted)


def lookup(document: dict, dotted: str) -> Any:
    """`config.strategy.amount` in nested dicts; W&B wraps config values as {"value": ...}."""
    value: Any = document
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, dict) and set(value) == {"value"}:
            value = value["value"]
    return value


def matches(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, dict):
        return wanted in value if isinstance(value, list) else value == wanted
    try:
        return all(OPERATORS[operator](value, operand) for operator, operand in wanted.items())
    except TypeError:  # comparing with a missing value
        return False


def ordered(documents: list[dict], order: str | None) -> list[dict]:
    """Sort by an order such as `-summary_metrics.dev_wer`; the newest first by default.

    Times have a resolution of a second here, so `created_at` sorts by the sequence number.
    """
    for part in reversed((order or "-created_at").split(",")):
        key = part.lstrip("+-")

        def position(document: dict, key: str = key) -> tuple[bool, float]:
            value = lookup(document, key) if "." in key else document["number"]
            return (value is None, value if isinstance(value, int | float) else 0)

        documents = sorted(documents, key=position, reverse=part.startswith("-"))
    return documents
