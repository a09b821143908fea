"""Tuning of a language model's weight and a word's bonus on dev."""

import json
import time
from typing import cast

from omegaconf import DictConfig, OmegaConf

from lth.errors import UserError

COMMAND_KEYS = ("trials", "alpha", "beta")


def tune(config: DictConfig, console) -> dict:
    """Search for the best alpha and beta; return, and write to the experiment's folder, them and the WERs on dev.

    Raises:
        UserError: a decoder without a language model, or a search that makes no sense.
    """
    import optuna

    from lth.files import write_text
    from lth.inference.trained import load_trained, with_decoder
    from lth.speech.wer import score

    if not config.decoder.get("lm"):
        raise UserError(
            "there is nothing to tune: name a beam search and a language model, decoder=beam decoder.lm=FILE"
        )
    values = cast(dict, OmegaConf.to_container(config))
    spans = {name: values[name] for name in ("alpha", "beta")}
    for name, span in spans.items():
        if not (isinstance(span, list) and len(span) == 2 and all(isinstance(v, int | float) for v in span)):
            raise UserError(f"{name}={span} is not a pair of numbers: give two, such as [0,3]")
        if span[0] > span[1] or (name == "alpha" and span[0] < 0):
            raise UserError(f"{name}={span} is not a range: give the lower number first, and for alpha none below 0")
    if not isinstance(config.trials, int) or config.trials < 1:
        raise UserError(f"trials={config.trials} is not a whole number of at least 1")
    setting, recogniser, ticket = load_trained(config, COMMAND_KEYS)
    started = time.perf_counter()
    encoded_dev, texts = encode_dev(setting, recogniser)

    def wer(decoder) -> float:
        with setting.device.autocast():
            hypotheses = [
                text for encoded, lengths in encoded_dev for text in decoder(recogniser.model, encoded, lengths)
            ]
        return score(texts, hypotheses).wer

    def decoder_with(**weights):
        decoder = cast(DictConfig, OmegaConf.merge(setting.config.decoder, weights))
        return with_decoder(setting, decoder).decoder(recogniser.model.family)

    def objective(trial: optuna.Trial) -> float:
        return wer(decoder_with(**{name: round(trial.suggest_float(name, *span), 3) for name, span in spans.items()}))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=config.seed))
    given = {name: min(max(config.decoder[name], span[0]), span[1]) for name, span in spans.items()}
    study.enqueue_trial(given)
    study.optimize(objective, n_trials=config.trials)
    best = {name: round(value, 3) for name, value in study.best_params.items()}
    result = {
        "decoder": setting.config.decoder.name,
        "lm": config.decoder.lm,
        **best,
        "dev_wer": study.best_value,
        "greedy_dev_wer": wer(setting.greedily().decoder(recogniser.model.family)),
        "trials": config.trials,
        "seconds": round(time.perf_counter() - started, 1),
    }
    console.print(
        f"dev WER {result['dev_wer']:.2%}, greedy {result['greedy_dev_wer']:.2%}; "
        f"{config.trials} settings in {result['seconds']} s",
        highlight=False,
    )
    overrides = " ".join(f"decoder.{name}={value}" for name, value in best.items())
    console.print(
        f"decoder={result['decoder']} decoder.lm={config.decoder.lm} {overrides}", highlight=False, soft_wrap=True
    )
    if ticket.home is not None:
        write_text(ticket.home / f"tuned-{result['decoder']}.json", json.dumps(result, indent=1))
    return result


def encode_dev(setting, recogniser) -> tuple[list, list[str]]:
    """Return what the model makes of every batch of dev, with its lengths; and all the texts."""
    import torch

    encoded, texts = [], []
    for batch in setting.dev_batches():  # read as ever, and only the network computes as it was trained
        moved = {k: v.to(recogniser.device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
        with torch.no_grad(), setting.device.autocast():
            encoded.append(recogniser(moved))
        texts += batch["texts"]
    return encoded, texts
