"""The decoder that ``decoder=`` names, made for a model's family and tokens."""

from collections.abc import Callable, Mapping
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from lth.errors import UserError
from lth.files import sha256

#: (model, what it returned, lengths) to texts.
Decoder = Callable[[nn.Module, Tensor, Tensor], list[str]]

#: What ``decoder.name`` may be, by the families of models that it reads.
FAMILIES = {
    "greedy": ("ctc", "transducer", "attention"),
    "beam": ("ctc",),
    "ctcdecode": ("ctc",),
    "attention_beam": ("attention",),
    "rnnt_beam": ("transducer",),
}
#: Options that name a file, of which the content counts and not the place.
FILES = ("lm", "lexicon")
#: Options that cannot change a transcript.
SILENT = ("_target_", "processes")
GREEDY = {"name": "greedy"}


def check_decoder(config: DictConfig, family: str) -> None:
    """UserError for a decoder that is unknown or cannot read this family of models."""
    name = config.decoder.get("name")
    if name not in FAMILIES:
        raise UserError(f"decoder.name={name} will not do: it is one of {', '.join(FAMILIES)}")
    if family not in FAMILIES[name]:
        others = [other for other, families in FAMILIES.items() if family in families]
        raise UserError(
            f"decoder={name} cannot read this model, which is of the {family} family: {' or '.join(others)} can"
        )


def key_of(decoder: Mapping) -> dict:
    """What of a decoder's config can change a transcript."""
    named = {name: value for name, value in decoder.items() if name not in SILENT}
    return {name: _content(name, value) if name in FILES and value else value for name, value in named.items()}


def _content(name: str, path: str) -> str:
    try:
        return sha256(Path(path).expanduser())
    except OSError as error:
        raise UserError(f"decoder.{name}={path} cannot be read ({error.strerror})") from None


def options(decoder: DictConfig) -> dict:
    """The config as arguments of what it builds; that of an older experiment does not say what that is."""
    found = {"_target_": "lth.decoding.greedy.Greedy", **OmegaConf.to_container(decoder, resolve=True)}
    return {name: value for name, value in found.items() if name != "name"}
