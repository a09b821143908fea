"""From a part of the config to the object that it describes; what is wrong is said of the key that the user typed."""

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lth.errors import UserError
from lth.lottery.setup import names
from lth.lottery.setup.plain import plain

#: Types that Python would take other values for: any text is true, 1.5 layers are not noticed.
STRICT = {bool: "true or false", int: "a whole number"}


def build(config: DictConfig, key: str, **arguments: Any) -> Any:
    """Make what ``config.KEY`` describes.

    Args:
        key: one of `names.GROUPS`.
        arguments: what is not in the config, such as the number of tokens.

    Raises:
        UserError: an option is unknown, missing or makes no sense, named as the user types it.
    """
    part = OmegaConf.select(config, key)
    if not OmegaConf.is_dict(part):
        group = names.GROUPS[key]
        raise UserError(f"{key}={part} is no choice: give {group}= one of {', '.join(names.names(key))}")
    return make(names.code(key, part), config, key, **arguments)


def make(code: Callable, config: DictConfig, key: str, **arguments: Any) -> Any:
    """Call ``code`` with the options under ``config.KEY``; see `build`.

    A part that is made by code itself, such as the encoder of a transducer, is handed over as a partial.
    """
    options = _options(config, key)
    _check_types(code, options, config, key)
    for name, value in options.items():
        if f"{key}.{name}" in names.GROUPS and isinstance(value, dict):
            options[name] = functools.partial(make, names.code(f"{key}.{name}", value), config, f"{key}.{name}")
    if unknown := next((name for name in options if not _takes(code, name)), None):
        raise UserError(f"{key}.{unknown}={options[unknown]} is no option of what {key} chooses")
    try:
        return code(**options, **arguments)
    except (ValueError, TypeError) as error:
        raise UserError(_in_words_of_the_user(str(error), options, config, key)) from error


def partial(config: DictConfig, key: str) -> Callable:
    """Return the function that ``config.KEY`` describes, its options filled in.

    Raises:
        UserError: as `build`.
    """
    return functools.partial(names.code(key, OmegaConf.select(config, key)), **_options(config, key))


def typed(config: DictConfig, key: str, option: str) -> str:
    """Return the key that a user types for an option: ``strategy.amount`` of the schedule's ``amount``."""
    raw = plain(OmegaConf.select(config, key), resolve=False)[option]
    followed = re.fullmatch(r"\$\{([\w.]+)\}", raw) if isinstance(raw, str) else None
    return followed[1] if followed else f"{key}.{option}"


def _options(config: DictConfig, key: str) -> dict[str, Any]:
    part = plain(OmegaConf.select(config, key))
    return {name: value for name, value in part.items() if name not in ("name", "_target_")}


def _takes(code: Callable, option: str) -> bool:
    parameters = inspect.signature(code).parameters
    return option in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _check_types(code: Callable, options: dict[str, Any], config: DictConfig, key: str) -> None:
    for name, parameter in inspect.signature(code).parameters.items():
        wanted = parameter.annotation
        if wanted in STRICT and name in options and type(options[name]) is not wanted:
            raise UserError(f"{typed(config, key, name)}={options[name]} is not {STRICT[wanted]}")


def _in_words_of_the_user(message: str, options: dict[str, Any], config: DictConfig, key: str) -> str:
    """What code says of its argument, said of the key: "amount is ..." becomes "strategy.amount=2: amount is ..."."""
    subject = re.match(r"(\w+)(=?)", message)
    if subject is None or subject[1] not in options:
        return f"{key}: {message}"
    where = typed(config, key, subject[1])
    if subject[2]:
        return where + message[len(subject[1]) :]
    return f"{where}={options[subject[1]]}: {message}"
