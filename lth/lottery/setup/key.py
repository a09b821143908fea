"""What makes a round this round, and an experiment this experiment; `docs/store.md` says what stays compatible."""

import hashlib
import json
from collections.abc import Mapping

from omegaconf import DictConfig

from lth.decoding.choose import key_of
from lth.lottery.setup.plain import plain
from lth.store.store import RESULT_VERSION, round_key

#: Trainer settings that cannot change a round's result, or that enter its key resolved.
NOT_IN_KEY = {"workers", "threads", "log_every", "precision", "accelerator"}


def settings(config: DictConfig) -> dict:
    """Return what of a config can change the result of a round, beside what is read: data, tokens, init and mask."""
    chosen = plain(config)
    return {
        "version": RESULT_VERSION,
        **{name: chosen[name] for name in ("features", "augment", "model", "loss", "seed")},
        "decoder": key_of(chosen["decoder"]),
        "trainer": {name: value for name, value in chosen["trainer"].items() if name not in NOT_IN_KEY},
    }


def identity(config: DictConfig, inputs: Mapping, origin: Mapping) -> str:
    """Return the 16 hex digits of an experiment: of its round 0 and its strategy, however many rounds are asked for.

    Args:
        inputs: of round 0's key.
        origin: where its ticket came from; a control asks another question, though its round may be the same.
    """
    made_of = [round_key(inputs), plain(config.strategy)]
    if origin and origin.get("transfer") != "ticket":
        made_of.append(dict(origin))
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]
