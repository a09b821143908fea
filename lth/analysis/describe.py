"""An experiment's config in a few words."""

from collections.abc import Mapping
from typing import Any

from lth.analysis.labels import chosen


def words(config: Mapping[str, Any]) -> dict[str, str]:
    """Return what a reader wants to know first: corpus, model, noise, strategy and seed, as far as `config` says."""
    known = {
        **{group: _part(config, "choices").get(group) for group in ("corpus", "model", "noise")},
        "strategy": strategy(config),
        "seed": config.get("seed"),
    }
    return {name: str(value) for name, value in known.items() if value not in (None, "")}


def strategy(config: Mapping[str, Any]) -> str:
    """Return 'layerwise, amount 0.2, ratios [1.1, 1, 0.9]': the words that were chosen, then the strategy's options."""
    options = {k: v for k, v in _part(config, "strategy").items() if not isinstance(v, Mapping) and v != []}
    return ", ".join([chosen(config), *(f"{name} {value}" for name, value in options.items())])


def _part(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = config.get(name)
    return part if isinstance(part, Mapping) else {}
