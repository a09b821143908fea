"""The config of an experiment that W&B remembers, made safe and at home on this machine.

What an experiment *is* comes from W&B. Where things lie and how they are tracked is this machine's: never
taken from there, for it comes from people who are perhaps not the user.
"""

from collections.abc import Collection, Iterator, Mapping
from textwrap import shorten
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lth.errors import UserError
from lth.lottery.setup import names
from lth.lottery.setup.plain import plain

#: Keys of ``conf/config.yaml`` that are this machine's.
LOCAL_KEYS = ("outputs", "store", "memory_hours", "tracking", "resume", "test_noise")
#: Keys of a corpus that say where it lies, with what they are unless the command line says otherwise.
LOCATION_KEYS = {
    "root": None,
    "cache": "${outputs}/corpora/${corpus.name}",
    "download": False,
    "train": None,
    "dev": None,
    "test": None,
    "allow_outside": False,
}


def relocate(
    recorded: Mapping,
    ours: DictConfig,
    what: str,
    inputs: Mapping,
    *,
    places: Mapping = LOCATION_KEYS,
    leave: Collection[str] = (),
) -> DictConfig:
    """Return the recorded config with this machine's places, its tracking, and what the command line says.

    Args:
        recorded: with interpolations, not resolved, where places are to follow this machine's.
        ours: the command's config.
        what: the word ``resume=...`` or ``ticket=...``.
        inputs: of a recorded round's key: they say on what it was computed.
        places: where a corpus lies; what is not named stays as it was recorded.
        leave: words of the command that are not about the recorded config.

    Raises:
        UserError: the recorded config would have this program call something that is none of its choices, or
            the command line names another choice of a group than the recorded one.
    """
    names.check_recorded(recorded, what)
    config = OmegaConf.create(dict(recorded))
    local = plain(ours, resolve=False)
    for name in LOCAL_KEYS:
        config[name] = local[name]
    for name in LOCATION_KEYS:
        if name in config.corpus and name in places:
            config.corpus[name] = places[name]
        if name in config.corpus.loader and name in config.corpus:
            config.corpus.loader[name] = f"${{corpus.{name}}}"
    for group in ("noise", "rir"):
        if places and "root" in config.get(group, {}):
            config[group].root = None
    config.trainer.accelerator, config.trainer.precision = inputs["accelerator"], inputs["precision"]
    for key, value in command_overrides():
        if key.split(".")[0] in (*LOCAL_KEYS, *leave):
            continue
        if key in ("corpus", "experiment") and ours.corpus.name == config.corpus.name:
            continue  # the command had to name it to say where it lies here
        group = key in config.choices or (OmegaConf.is_config(OmegaConf.select(config, key)) and isinstance(value, str))
        if group or ("." not in key and key not in config):
            raise UserError(f"{what} takes {key} from what was recorded: leave out {key}={value}")
        try:
            OmegaConf.update(config, key, value)
        except OmegaConfBaseException as error:
            raise UserError(f"{key}={value}: {str(error).splitlines()[0]}") from error
    return config


def difference(there: Mapping, here: Mapping, prefix: str = "") -> str | None:
    """Name the first value that differs; None where none does."""
    for name in {**there, **here}:
        a, b = there.get(name), here.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            if found := difference(a, b, f"{prefix}{name}."):
                return found
        elif a != b:
            here_is, was = (shorten(str(value), 200, placeholder=" ...") for value in (b, a))
            return f"{prefix}{name} is {here_is} here and was {was} there"
    return None


def command_overrides() -> Iterator[tuple[str, Any]]:
    """Yield the keys and values on Hydra's command line."""
    words = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    for override in OverridesParser.create().parse_overrides(list(words)):
        yield override.key_or_group, override.value()
