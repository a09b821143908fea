"""An experiment's config in a few words."""

from collections.abc import Mapping
from typing import Any


def words(config: Mapping[str, Any]) -> dict[str, str]:
    """What a reader wants to know first: corpus, model, noise, strategy and seed, as far as `config` says."""
    known = {
        "corpus": _part(config, "corpus").get("name"),
        "model": _leaf(_part(config, "model").get("_target_")),
        "noise": _part(config, "noise").get("kind"),
        "strategy": strategy(_part(config, "strategy")),
        "seed": config.get("seed"),
    }
    return {name: str(value) for name, value in known.items() if value not in (None, "")}


def strategy(options: Mapping[str, Any]) -> str:
    """'constant, Global, Magnitude, amount 0.2': the choice on each axis, then the options."""
    axes = [
        _leaf(value["_target_"]) for value in options.values() if isinstance(value, Mapping) and "_target_" in value
    ]
    return ", ".join(axes + [f"{k} {v}" for k, v in options.items() if not isinstance(v, Mapping) and v != []])


def _part(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = config.get(name)
    return part if isinstance(part, Mapping) else {}


def _leaf(target: object) -> str:
    return str(target or "").rsplit(".", 1)[-1]
