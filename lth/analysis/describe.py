"""An experiment's config in a few words, and reading the small documents it left behind."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lth.analysis.labels import chosen
from lth.errors import UserError


def document(path: Path) -> dict[str, Any]:
    """The mapping in a YAML or JSON file; empty when there is no such file.

    Raises:
        UserError: the file is damaged.
    """
    read = json.loads if path.suffix == ".json" else yaml.safe_load
    try:
        found = read(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, yaml.YAMLError):
        found = None
    if not isinstance(found, dict):
        raise UserError(f"{path} is damaged: run the experiment again to rewrite it")
    return found


def words(config: Mapping[str, Any]) -> dict[str, str]:
    """What a reader wants to know first: corpus, model, noise, strategy and seed, as far as `config` says."""
    known = {
        **{group: _part(config, "choices").get(group) for group in ("corpus", "model", "noise")},
        "strategy": strategy(config),
        "seed": config.get("seed"),
    }
    return {name: str(value) for name, value in known.items() if value not in (None, "")}


def strategy(config: Mapping[str, Any]) -> str:
    """'layerwise, amount 0.2, ratios [1.1, 1, 0.9]': the words that were chosen, then the strategy's options."""
    options = {k: v for k, v in _part(config, "strategy").items() if not isinstance(v, Mapping) and v != []}
    return ", ".join([chosen(config), *(f"{name} {value}" for name, value in options.items())])


def _part(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = config.get(name)
    return part if isinstance(part, Mapping) else {}
