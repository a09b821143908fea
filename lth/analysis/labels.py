"""What tables and legends call a lottery: the words that were typed, and the options that set it apart."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from lth.lottery.setup.names import strategy_axes

#: Parts of a config that make two experiments with one label different; what cannot change a result is no part.
PARTS = ("strategy", "noise", "model", "features", "augment", "trainer", "decoder")
#: Options that name what the options after them are of: where these differ, those say nothing.
KINDS = {"model", "model encoder"}
SAID = {"exclude"}  # by the label itself
SILENT = {"workers", "threads", "log_every", "root", "accelerator", "precision", "part"}


def chosen(config: Mapping[str, Any]) -> str:
    """Return the strategy as it was typed: "wanda", "layerwise rewind=epoch"."""
    choices = config.get("choices") or {}
    word = choices.get("strategy", "constant")
    usual = strategy_axes(word)
    axes = {name.removeprefix("strategy/"): choice for name, choice in choices.items() if name.startswith("strategy/")}
    return " ".join([word, *(f"{axis}={choice}" for axis, choice in axes.items() if choice != usual.get(axis, choice))])


def label(config: Mapping[str, Any]) -> str:
    """Return a strategy's name: "constant", "nm 2:4", "layerwise rewind=epoch 3", "wanda without output"."""
    strategy = config.get("strategy") or {}
    words = [chosen(config), *(size for axis in ("structure", "rewind") if (size := _size(strategy.get(axis) or {})))]
    if strategy.get("exclude"):
        words.append(f"without {', '.join(strategy['exclude'])}")
    return " ".join(words)


def labels(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return each lottery's label; those that would share one and differ in an option get that option too.

    Args:
        configs: a lottery's id -> its config.
    """
    known = {id: label(config) for id, config in configs.items()}
    groups = defaultdict(list)
    for id, config in configs.items():
        groups[known[id], str((config.get("corpus") or {}).get("name", ""))].append(id)
    for group in groups.values():
        options = {id: dict(_options(configs[id])) for id in group}
        keys = dict.fromkeys(key for own in options.values() for key in own)
        differing = [key for key in keys if len({str(own.get(key)) for own in options.values()}) > 1]
        differing = [key for key in differing if not any(key.startswith(f"{kind} ") for kind in KINDS & {*differing})]
        for id, own in options.items():
            said = [key for key in differing if own.get(key) is not None]  # nothing sets nothing apart
            known[id] += "".join(f", {own[key]}" if key == "model" else f", {key} {own[key]}" for key in said[:3])
    return known


def _size(choice: Mapping[str, Any]) -> str:
    """What of a structure or a rewinding a reader wants to know beside its name."""
    match choice.get("name"):
        case "block":
            return f"{choice.get('rows')}×{choice.get('columns')}"
        case "nm":
            return f"{choice.get('n')}:{choice.get('m')}"
        case "epoch":
            return str(choice.get("epoch"))
    return ""


def _options(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What may set an experiment apart, by the name of the option."""
    for part in PARTS:
        if part == "model":
            yield from _model("model", config.get(part) or {}, (config.get("choices") or {}).get("model"))
            continue
        for key, value in (config.get(part) or {}).items():
            choice = part == "strategy" and isinstance(value, Mapping)  # the label says it
            if not choice and key != "name" and key not in SAID | SILENT:
                yield (key if part == "strategy" else f"{part} {key}"), value
    if config.get("ticket"):
        yield "from", config["ticket"]


def _model(name: str, config: Mapping[str, Any], word: str | None = None) -> Iterator[tuple[str, Any]]:
    """What model it is, as it was typed, and its options; an encoder is a model too."""
    yield name, word or config.get("name", "")
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _model(f"{name} {key}", value)
        elif key != "name":
            yield f"{name} {key}", value
