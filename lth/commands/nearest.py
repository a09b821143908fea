"""What a mistyped key, choice or command was meant to be."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches

from lth.files import CONF


def did_you_mean(typed: object, choices: Iterable[str], form: str = "{}") -> str:
    """Return "; did you mean CHOICE?" for the choice nearest to what was typed, or nothing where none is near.

    Args:
        form: of the whole word that is shown, with ``{}`` for the choice.
    """
    choices, typed = list(choices), str(typed)
    near = get_close_matches(typed, choices, n=1) or [one for one in choices if one.startswith(typed)]
    return f"; did you mean {form.format(near[0])}?" if near else ""


def mistyped(error: BaseException, config: str, words: Sequence[str], program: str) -> str | None:
    """Return the sentence about a key or choice that Hydra does not find, with the nearest one; else None.

    Args:
        config: the name of the command's config.
        words: the overrides of the command line.
        program: what is typed to start the command.
    """
    from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException

    where = f" ({program} --cfg job lists every key)"
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        return no_choice(group, choice, error.options)
    if isinstance(error, OverrideParseException) and "missing EQUAL" in str(error):
        word = error.override
        return f"'{word}' is not of the form KEY=VALUE{meant(word, '...', config, words)}{where}"
    found = re.match(r"Could not override '([^']+)'", str(error))
    if isinstance(error, ConfigCompositionException) and found:
        key = found[1]
        value = next((word.partition("=")[2] for word in words if word.startswith(f"{key}=")), "...")
        return f"there is no key '{key}'{meant(key, value, config, words)}{where}"
    return None


def no_choice(key: str, value: object, choices: Iterable[str]) -> str:
    """Return the sentence about a value that is none of its choices."""
    choices = list(choices)
    return f"there is no {key}={value} among {', '.join(choices)}{did_you_mean(value, choices, f'{key}={{}}')}"


def meant(key: str, value: str, config: str, words: Sequence[str]) -> str:
    """Return "; did you mean KEY=VALUE?" for the key nearest to one that is not known, or nothing."""
    near = nearest_key(key, keys(config, words))
    return f"; did you mean {near}={value}?" if near else ""


def nearest_key(key: str, known: Collection[str]) -> str | None:
    """Return the key nearest to one that is not known: in the part that it names, or anywhere; or one that ends so."""
    part, _, last = key.rpartition(".")
    if part in known:
        siblings = [one.rpartition(".")[2] for one in known if one.rpartition(".")[0] == part]
        return next((f"{part}.{near}" for near in get_close_matches(last, siblings, n=1)), None)
    if near := get_close_matches(key, known, n=1):
        return near[0]
    return min((one for one in known if one.endswith(f".{key}")), key=len, default=None)


def keys(config: str, words: Sequence[str]) -> list[str]:
    """Return every group and every dotted key of a config, with the choices that the words make where they can be."""
    import hydra

    from lth.lottery.setup.plain import plain

    chosen = [word for word in words if (CONF / word.partition("=")[0]).is_dir()]
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            composed = hydra.compose(config, chosen, return_hydra_config=True)
        except Exception:  # another of them is wrong too, or several are given for -m
            composed = hydra.compose(config, return_hydra_config=True)
    groups = [str(group) for group in composed.hydra.runtime.choices if not str(group).startswith("hydra/")]
    content = plain(composed, resolve=False)
    return groups + [key for key in dotted(content) if key.partition(".")[0] != "hydra"]


def dotted(tree: Mapping, prefix: str = "") -> Iterator[str]:
    """Yield the key of every value below, parts joined by dots."""
    for name, value in tree.items():
        yield f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from dotted(value, f"{prefix}{name}.")
