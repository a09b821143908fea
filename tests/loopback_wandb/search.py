"""The points of a sweep: grid and random search. Bayes falls back to random."""

import itertools
import math
import random
from collections.abc import Iterable, Iterator
from typing import Any


def leaves(parameters: dict, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict]]:
    """Parameters may be nested; each leaf has a path."""
    for name, spec in parameters.items():
        if "parameters" in spec:
            yield from leaves(spec["parameters"], (*path, name))
        else:
            yield (*path, name), spec


def nested(values: Iterable[tuple[tuple[str, ...], Any]]) -> dict:
    """Paths and values as W&B's config: {"optimizer": {"value": {"lr": 0.1}}}."""
    tree: dict = {}
    for path, value in values:
        branch = tree
        for part in path[:-1]:
            branch = branch.setdefault(part, {})
        branch[path[-1]] = value
    return {name: {"value": value} for name, value in tree.items()}


def grid(config: dict) -> list[dict]:
    paths, specs = zip(*leaves(config.get("parameters", {})), strict=True)
    return [nested(zip(paths, point, strict=True)) for point in itertools.product(*map(choices, specs))]


def choices(spec: dict) -> Iterable:
    if "values" in spec:
        return spec["values"]
    return [spec["value"]] if "value" in spec else range(spec["min"], spec["max"] + 1)


def draw(config: dict, rng: random.Random) -> dict:
    return nested((path, draw_one(spec, rng)) for path, spec in leaves(config.get("parameters", {})))


def draw_one(spec: dict, rng: random.Random) -> Any:
    if "value" in spec:
        return spec["value"]
    if "values" in spec:
        return rng.choice(spec["values"])
    low, high = spec["min"], spec["max"]
    match spec.get("distribution", "uniform"):
        case "int_uniform":
            return rng.randint(low, high)
        case "log_uniform_values":
            return math.exp(rng.uniform(math.log(low), math.log(high)))
        case "q_uniform":
            step = spec.get("q", 1)
            return round(rng.uniform(low, high) / step) * step
        case _:
            return rng.uniform(low, high)
