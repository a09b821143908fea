"""The best weight of a language model and bonus of a word, on dev."""

import json
import time

from omegaconf import DictConfig, OmegaConf

from lth.errors import UserError

WORDS = ("trials", "alpha", "beta")


def tune(config: DictConfig, console) -> dict:
    """Search; returns and writes (to the experiment's folder) the decoder, alpha, beta and WERs on dev.

    Raises:
        UserError: a decoder without a language model, or a search that makes no sense.
    """
    import optuna

    from lth.files import write_text
    from lth.inference.trained import decoding, trained
    from lth.speech.wer import score

    if not config.decoder.get("lm"):
        raise UserError(
            "there is nothing to tune: name a beam search and a language model, decoder=beam decoder.lm=FILE"
        )
    spans = {name: OmegaConf.to_container(config)[name] for name in ("alpha", "beta")}
    for name, span in spans.items():
        if not (isinstance(span, list) and len(span) == 2 and all(isinstance(v, int | float) for v in span)):
            raise UserError(f"{name}={span} will not do: it is two numbers, such as [0,3]")
        if span[0] > span[1] or (name == "alpha" and span[0] < 0):
            raise UserError(f"{name}={span} will not do: the first is the lower one, and alpha is not negative")
    if not isinstance(config.trials, int) or config.trials < 1:
        raise UserError(f"trials={config.trials} will not do: it is a whole number, at least 1")
    setting, recogniser, ticket = trained(config, WORDS)
    started = time.perf_counter()
    heard, texts = hear(setting, recogniser)

    def wer(decoder) -> float:
        with setting.machine.autocast():
            said = [text for encoded, lengths in heard for text in decoder(recogniser.model, encoded, lengths)]
        return score(texts, said).wer

    def with_words(**words):
        return decoding(setting, OmegaConf.merge(setting.config.decoder, words)).decoder(recogniser.model.family)

    def objective(trial: optuna.Trial) -> float:
        return wer(with_words(**{name: round(trial.suggest_float(name, *span), 3) for name, span in spans.items()}))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=config.seed))
    inside = {name: min(max(config.decoder[name], span[0]), span[1]) for name, span in spans.items()}
    study.enqueue_trial(inside)
    study.optimize(objective, n_trials=config.trials)
    best = {name: round(value, 3) for name, value in study.best_params.items()}
    found = {
        "decoder": setting.config.decoder.name,
        "lm": config.decoder.lm,
        **best,
        "dev_wer": study.best_value,
        "greedy_dev_wer": wer(setting.greedily().decoder(recogniser.model.family)),
        "trials": config.trials,
        "seconds": round(time.perf_counter() - started, 1),
    }
    console.print(
        f"dev WER {found['dev_wer']:.2%}, greedy {found['greedy_dev_wer']:.2%}; "
        f"{config.trials} settings in {found['seconds']} s",
        highlight=False,
    )
    words = " ".join(f"decoder.{name}={value}" for name, value in best.items())
    console.print(f"decoder={found['decoder']} decoder.lm={config.decoder.lm} {words}", highlight=False, soft_wrap=True)
    if ticket.home is not None:
        write_text(ticket.home / f"tuned-{found['decoder']}.json", json.dumps(found, indent=1))
    return found


def hear(setting, recogniser) -> tuple[list, list[str]]:
    """What the model makes of every batch of dev, with its lengths; and all the texts."""
    import torch

    heard, texts = [], []
    with torch.no_grad(), setting.machine.autocast():
        for batch in setting.dev_batches():
            moved = {k: v.to(recogniser.device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
            heard.append(recogniser(moved))
            texts += batch["texts"]
    return heard, texts
