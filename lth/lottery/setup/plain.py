"""Configs as Python's own types, for all that reads them as data."""

from typing import Any, cast

from omegaconf import DictConfig, OmegaConf


def plain(config: Any, *, resolve: bool = True) -> dict[str, Any]:
    """Return a config as dictionaries and lists; without ``resolve`` interpolations stay as they are written."""
    return cast(dict[str, Any], OmegaConf.to_container(config, resolve=resolve))


def merge(config: Any, *others: Any) -> DictConfig:
    """Return a config with the values of others in the place of its own."""
    return cast(DictConfig, OmegaConf.merge(config, *others))
