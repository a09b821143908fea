"""Names are data: what a user types, what keys and recorded configs say, and where the code of it lives.

A choice that is code is one file of ``conf/`` with a ``_target_``: ``conf/model/conformer.yaml`` says where the model
``conformer`` lives. The file's own name is the canonical name of that code, in every round's key and every recorded
config; nothing but this file knows the dotted path, so that a class may move without a key changing. A preset such as
``conf/model/conformer_paper.yaml`` inherits a choice: it is a word that users type, with the canonical name of the
choice that it inherits.

`adopt` puts canonical names in the place of dotted paths as soon as Hydra has composed a config, and adds the words
that were chosen under ``choices``. From there on, in keys, folders, W&B and reports, a config is data.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from lth import files
from lth.errors import UserError

#: Keys of a config whose value is made by code, and the group of ``conf/`` that says by which.
GROUPS = {
    "corpus.loader": "corpus",
    "text": "text",
    "model": "model",
    "model.encoder": "model",
    "loss": "loss",
    "decoder": "decoder",
    "strategy.schedule": "strategy/schedule",
    "strategy.allocation": "strategy/allocation",
    "strategy.criterion": "strategy/criterion",
    "strategy.structure": "strategy/structure",
    "strategy.rewind": "strategy/rewind",
}


def compose(overrides: Sequence[str], name: str = "config") -> DictConfig:
    """Compose ``conf/NAME.yaml`` with these overrides, names adopted.

    Raises:
        HydraException: no such key or choice.
    """
    if GlobalHydra.instance().is_initialized():
        composed = hydra.compose(name, list(overrides), return_hydra_config=True)
    else:
        with hydra.initialize_config_dir(str(files.CONF), version_base="1.3"):
            composed = hydra.compose(name, list(overrides), return_hydra_config=True)
    choices = composed.hydra.runtime.choices
    with open_dict(composed):
        del composed["hydra"]
    return adopt(composed, choices)


def adopt(config: DictConfig, choices: Mapping[str, Any] | None = None) -> DictConfig:
    """Replace the dotted paths in a config by canonical names, in place, and note the choices of its groups.

    Code that no file of ``conf/`` names keeps its dotted path.

    Args:
        choices: group -> choice; None: those of the running Hydra application.
    """
    if choices is None:
        choices = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
    with open_dict(config):
        for key, group in GROUPS.items():
            part = OmegaConf.select(config, key)
            if OmegaConf.is_dict(part) and (name := _name_of(group, part.get("_target_"))):
                del part["_target_"]
                part.name = name
        if choices:
            words = {group: word for group, word in choices.items() if word is not None}
            config.choices = {group: word for group, word in sorted(words.items()) if not group.startswith("hydra")}
    return config


def code(key: str, part: Mapping[str, Any]) -> Callable:
    """Return the class or function that makes what ``part``, the value of ``key``, describes.

    Raises:
        UserError: its name is none of the group's choices.
    """
    target = part.get("_target_") or _declared(GROUPS[key], files.CONF).get(str(part.get("name")))
    if target is None:
        raise UserError(f"{key}.name={part.get('name')} is unknown: choose one of {', '.join(names(key))}")
    return hydra.utils.get_method(target)


def names(key: str) -> list[str]:
    """Return the canonical names of all that may be the value of ``key``."""
    return sorted(_declared(GROUPS[key], files.CONF))


def check_recorded(config: Mapping[str, Any], what: str) -> None:
    """Refuse a recorded config that names what is not in ``conf/``, or that reads this machine's environment.

    Args:
        what: the word that led to it, such as ``resume=me/project/demo``.

    Raises:
        UserError: the first such value.
    """
    for path, value in _leaves(config):
        if path.rpartition(".")[2].startswith("_") and path.rpartition(".")[2].endswith("_"):
            raise UserError(f"{what}: its config wants to call {value}, which is none of this program's choices")
        if isinstance(value, str) and "${" in value and ":" in value:
            raise UserError(f"{what}: its config says {value!r}, which may read more than this program's own keys")
    for key in GROUPS:
        part = OmegaConf.select(OmegaConf.create(dict(config)), key)
        if part is None:
            continue
        name = part.get("name") if OmegaConf.is_dict(part) else part
        if name not in names(key):
            raise UserError(f"{what}: its config says {key}.name={name}, which is none of this program's choices")


@cache
def strategy_axes(word: str) -> Mapping[str, str]:
    """Return the choice on each axis that ``strategy=WORD`` stands for; nothing for a word that is no strategy."""
    file = files.CONF / "strategy" / f"{word}.yaml"
    if not file.is_file():
        return {}
    found: dict[str, str] = {}
    for entry in yaml.safe_load(file.read_text(encoding="utf-8")).get("defaults", []):
        if isinstance(entry, str):
            found |= strategy_axes(entry) if entry != "_self_" else {}
        else:
            (axis, choice), *_ = entry.items()
            found[axis.removeprefix("override ")] = choice
    return found


@cache
def _declared(group: str, conf: Path) -> Mapping[str, str]:
    """Canonical name -> dotted path, of the choices of a group that are code."""
    found: dict[str, str] = {}
    for file in sorted((conf / group).glob("*.yaml")):
        for path, value in _leaves(yaml.safe_load(file.read_text(encoding="utf-8"))):
            if path.rpartition(".")[2] == "_target_":
                if value in found.values():
                    raise ValueError(f"{file}: {value} is named by another file of {group}: inherit that one")
                found[file.stem] = value
    return found


def _name_of(group: str, target: str | None) -> str | None:
    return next((name for name, there in _declared(group, files.CONF).items() if there == target), None)


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every value that is no mapping or list; the items of a list have the list's key."""
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from _leaves(value, f"{path}.{name}" if path else str(name))
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _leaves(value, path)
    else:
        yield path, tree
