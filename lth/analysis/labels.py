"""What tables and legends call a strategy: its choices that are not the default, and what sets it apart."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lth.analysis.experiments import Experiment

#: Choices that go without saying.
DEFAULTS = {"constant", "Global", "Magnitude", "Weights", "Init"}
AXES = ("schedule", "allocation", "criterion", "structure", "rewind")
#: Parts of a config that make two experiments with one label different; what cannot change a result is no part.
PARTS = ("strategy", "noise", "model", "features", "augment", "trainer", "decoder")
#: Options that name what the options after them are of: where these differ, those say nothing.
KINDS = {"model", "model encoder"}
SAID = {"exclude"}  # by the label itself
SILENT = {"workers", "threads", "log_every", "root", "accelerator", "precision", "part"}


def label(strategy: Mapping[str, Any]) -> str:
    """ "constant", "decaying layerwise", "1×4 blocks", "erk late rewinding (epoch 3)"."""
    words = ["gradual"] if strategy.get("gradual") else []
    words += [word for axis in AXES if (word := _word(strategy.get(axis)))]
    if strategy.get("exclude"):
        words.append(f"without {', '.join(strategy['exclude'])}")
    return " ".join(words) or "constant"


def labelled(experiments: "Sequence[Experiment]") -> "list[Experiment]":
    """The experiments with their labels; those that would share one and differ in an option get that option too."""
    known = {one.id: label(one.config.get("strategy") or {}) for one in experiments}
    groups = defaultdict(list)
    for one in experiments:
        if one.control is None:
            groups[known[one.id], one.corpus].append(one)
    added = {}
    for group in groups.values():
        options = [dict(_options(one.config)) for one in group]
        keys = dict.fromkeys(key for own in options for key in own)
        differing = [key for key in keys if len({str(o.get(key)) for o in options}) > 1]
        differing = [key for key in differing if not any(key.startswith(f"{kind} ") for kind in KINDS & {*differing})]
        for one, own in zip(group, options, strict=True):
            said = [key for key in differing if own.get(key) is not None]  # nothing sets nothing apart
            added[one.id] = "".join(
                f", {own[key]}" if key == "model" else f", {key} {own.get(key)}" for key in said[:3]
            )
    return [replace(one, label=known[one.id] + added.get(one.id, "")) for one in experiments]


def _word(choice: Mapping[str, Any] | None) -> str:
    leaf = str((choice or {}).get("_target_", "")).rpartition(".")[2]
    if not leaf or leaf in DEFAULTS:
        return ""
    match leaf:
        case "Layerwise" if len(choice.get("ratios", ())) == 1:
            return "uniform"
        case "Block":
            return f"{choice.get('rows')}×{choice.get('columns')} blocks"
        case "NM":
            return f"{choice.get('n')}:{choice.get('m')}"
        case "Epoch":
            return f"late rewinding (epoch {choice.get('epoch')})"
        case "LearningRate":
            return "learning-rate rewinding"
        case "FineTune":
            return "fine-tuning"
    return {"GradientWeight": "gradient × weight", "one_shot": "one shot", "PerRow": ""}.get(leaf, leaf.lower())


def _options(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What may set an experiment apart, by the name of the option."""
    for part in PARTS:
        if part == "model":
            yield from _model("model", config.get(part) or {})
            continue
        for key, value in (config.get(part) or {}).items():
            choice = part == "strategy" and isinstance(value, Mapping)  # the label says it
            if not choice and not key.startswith("_") and key not in SAID | SILENT:
                yield (key if part == "strategy" else f"{part} {key}"), value
    if config.get("ticket"):
        yield "from", config["ticket"]


def _model(name: str, config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What kind of model it is, and its options; an encoder is a model too."""
    yield name, str(config.get("_target_", "")).rpartition(".")[2].lower()
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _model(f"{name} {key}", value)
        elif not key.startswith("_"):
            yield f"{name} {key}", value
