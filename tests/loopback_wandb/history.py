"""A run's history in the three ways the client asks for it."""

import json
import math

from tests.loopback_wandb.graphql import Node
from tests.loopback_wandb.state import Run


def in_range(run: Run, low: float | None, high: float | None) -> list[dict]:
    """Rows with low <= _step <= high."""
    low, high = low or 0, math.inf if high is None else high
    return [row for row in run.history.values() if low <= row.get("_step", 0) <= high]


def fields(run: Run) -> Node:
    """The history fields of a run's node."""
    rows = list(run.history.values())
    keys = sorted({key for row in rows for key in row})
    last_step = max((row.get("_step", 0) for row in rows), default=-1)
    counts = {"typeCounts": [{"type": "number", "count": len(rows)}], "monotonic": False}

    def page(minStep=0, maxStep=None, samples=None, **_) -> list[str]:
        high = None if maxStep is None else maxStep - 1  # exclusive here, inclusive in `sampledHistory`
        return [json.dumps(row) for row in in_range(run, minStep, high)[:samples]]

    def sampled(specs=None, **_) -> list[list[dict]]:
        specs = [specs] if isinstance(specs, str) else specs or []  # GraphQL turns a value into a list of one
        return [sample(run, json.loads(spec) if isinstance(spec, str) else spec) for spec in specs]

    return {
        "historyLineCount": len(rows),
        "historyTail": json.dumps([json.dumps(row) for row in rows[-1:]]),
        "historyKeys": {"lastStep": last_step, "sets": [], "keys": dict.fromkeys(keys, counts)},
        "history": page,
        "sampledHistory": sampled,
        "parquetHistory": lambda liveKeys=None: {"parquetUrls": [], "liveData": [dict(row) for row in rows]},
        "eventsLineCount": len(run.events),
        "eventsTail": json.dumps([json.dumps(row) for row in run.events[-1:]]),
        "events": lambda **_: [json.dumps(row) for row in run.events],
    }


def sample(run: Run, spec: dict) -> list[dict]:
    """Rows that have all the keys asked for, thinned out evenly to the number of samples."""
    keys, count = spec.get("keys") or [], spec.get("samples") or 500
    rows = in_range(run, spec.get("minStep"), spec.get("maxStep"))
    rows = [row for row in rows if all(key in row for key in keys)]
    if keys:
        rows = [{key: row[key] for key in keys} for row in rows]
    if len(rows) > count:
        rows = [rows[i * (len(rows) - 1) // (count - 1)] for i in range(count)]
    return rows
