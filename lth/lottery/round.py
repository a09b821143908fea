"""One round: a ticket goes in, a trained and scored network comes out."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from lth.files import save_tensors, write_jsonl
from lth.lottery.rewinding import RoundSpec, TrainingSpan
from lth.lottery.setup.setting import ExperimentSetup
from lth.speech.batches import Batches
from lth.speech.wer import score
from lth.store.maskfile import load_mask, save_mask
from lth.store.store import Store, StoredRound, round_key, tensors_digest
from lth.tickets.mask import Mask
from lth.tickets.rewind import rewind
from lth.training.callbacks import History, KeepPruned
from lth.training.recogniser import Recogniser
from lth.training.train import train, transcribe

Listener = Callable[[dict], None]


def train_round(
    setting: ExperimentSetup,
    store: Store,
    number: int,
    init: str,
    ticket: RoundSpec,
    *,
    trained_by: str,
    listeners: Sequence[Listener] = (),
    display: Sequence = (),
    weights: bool = False,
    score_start: bool = False,
) -> StoredRound:
    """Return the round of this ticket: from the store, or else rewound, trained, scored and stored.

    Of several processes that need the same round at once one trains it and the others wait; if it dies, one of
    them goes on from its last checkpoint.

    Args:
        init: digest of ``setting.init``.
        trained_by: id of the experiment that asks, to tell later what was reused.
        listeners: hear every row of the training's history as it is made, or as it was once made.
        display: Lightning callbacks that show progress.
        weights: they are needed; a round that came back from W&B without them is trained again.
        score_start: the init is trained weights, to be scored before they are trained further.
    """
    inputs = ingredients(setting, init, ticket)
    key = round_key(inputs)
    if found := store.find(key, weights=weights):
        return retold(found, listeners)
    with store.lock(key):
        if found := store.find(key, weights=weights):  # trained by another process while this one waited
            return retold(found, listeners)
        before = start_scores(setting, ticket.mask) if score_start else {}
        if setting.config.decoder.name != "greedy":
            who = {"trained_by": trained_by, "listeners": listeners, "display": display}
            base = train_round(setting.greedily(), store, number, init, ticket, **who, weights=True)
            return retranscribe(setting, store, base, inputs, before)
        origin = ticket.weights()
        recogniser = setting.recogniser(rewind(origin, ticket.mask), ticket.span.rate)
        mask_callback = ticket.mask_callback(ticket.mask)
        history = fit(
            setting, recogniser, mask_callback, ticket.span, store.partial(key, trained_by), listeners, display
        )
        trained = history.elapsed
        started = time.perf_counter()
        hypotheses = evaluate(setting, recogniser)
        state = {name: t.detach().cpu().contiguous() for name, t in recogniser.model.state_dict().items()}
        metrics = {
            "key": key,
            "round": number,
            "seed": setting.seed,
            "corpus": setting.corpus.name,
            **densities(setting, mask_callback.mask),
            **scores(setting, hypotheses),
            **before,
            **training_summary(history, ticket.span.begin),
            "seconds": round(trained + time.perf_counter() - started, 3),
            "trained_by": trained_by,
            "inputs": inputs,
        }
        with store.adding(key) as folder:
            about = {name: metrics[name] for name in ("key", "round", "seed", "density", "corpus", "trained_by")}
            save_mask(folder / "mask.lth", mask_callback.mask, about | rewinds_to(ticket, inputs, origin))
            write_round(folder, state, metrics, hypotheses, history.rows)
    return replace(store[key], new=True)


def retranscribe(
    setting: ExperimentSetup, store: Store, base: StoredRound, inputs: dict, before: Mapping
) -> StoredRound:
    """Return the round that ``base`` is with another decoder: the same training, which is not done again.

    Args:
        base: the same round decoded greedily, with its weights.
        before: scores of what it started from.
    """
    started = time.perf_counter()
    hypotheses = evaluate(setting, setting.recogniser(base.weights()))
    seconds = round(base.metrics["seconds"] + time.perf_counter() - started, 3)
    key = round_key(inputs)
    new = {"key": key, **scores(setting, hypotheses), **before, "seconds": seconds, "inputs": inputs}
    with store.adding(key) as folder:
        mask, about = load_mask(base.path / "mask.lth")
        save_mask(folder / "mask.lth", mask, about | {"key": key})
        write_round(folder, base.weights(), base.metrics | new, hypotheses, base.history())
    return replace(store[key], new=base.new)


def ingredients(setting: ExperimentSetup, init: str, ticket: RoundSpec) -> dict:
    """Return everything that can change the result of a ticket's round: what its key is a hash of."""
    return {**setting.key_inputs(init, ticket.mask), **ticket.key}


def rewinds_to(ticket: RoundSpec, inputs: Mapping, origin: Mapping[str, Tensor]) -> dict:
    """Return what a mask file says of the weights it rewinds to, where those are not the init."""
    if not ticket.span.begin:
        return {}
    about = {"rewind_epoch": ticket.span.begin, "rewind_weights": tensors_digest(origin)}
    of = inputs["rewind"].get("of")
    return about | ({"rewind_round": of} if of else {})


def retold(found: StoredRound, listeners: Sequence[Listener]) -> StoredRound:
    """Tell the listeners the history of a round that was found; return the round."""
    for row in found.history():
        for listener in listeners:
            listener(row)
    return found


def fit(
    setting: ExperimentSetup,
    recogniser: Recogniser,
    mask_callback: KeepPruned,
    span: TrainingSpan,
    folder: Path,
    listeners: Sequence[Listener],
    display: Sequence,
) -> History:
    """Train the ticket, going on from the checkpoint in ``folder`` if there is one."""
    options = setting.config.trainer
    return train(
        recogniser,
        mask_callback,
        Batches(setting.train_batches, setting.dev_batches()),
        device=setting.device,
        folder=folder,
        epochs=span.epochs or options.max_epochs,
        begin=span.begin,
        until=span.until,
        gradient_clip=options.gradient_clip,
        accumulate=options.accumulate,
        patience=options.patience,
        log_every=options.log_every,
        listeners=list(listeners),
        display=list(display),
    )


def evaluate(setting: ExperimentSetup, recogniser: Recogniser) -> list[dict]:
    """Transcribe dev and every test set: the only place where test sets are read."""
    sets = {"dev": setting.dev_batches(), **setting.test_batches()}
    return [
        {"set": name, **row}
        for name, batches in sets.items()
        for row in transcribe(recogniser, batches, setting.device)
    ]


def start_scores(setting: ExperimentSetup, mask: Mask) -> dict:
    """Score the weights that a round starts from; that is only reported: nothing is chosen by it."""
    found = scores(setting, evaluate(setting, setting.recogniser(rewind(setting.init, mask))))
    return {f"start_{name}": value for name, value in found.items() if name != "tests"}


def densities(setting: ExperimentSetup, mask: Mask) -> dict:
    """Return how much is left, of the prunable weights and of all parameters."""
    removed = mask.total - mask.kept
    return {
        "density": mask.density,
        "density_total": (setting.parameters - removed) / setting.parameters,
        "kept": mask.kept,
        "prunable": mask.total,
        "parameters": setting.parameters,
    }


def scores(setting: ExperimentSetup, hypotheses: list[dict]) -> dict:
    """Compute WER and CER over each whole set; ``test_*`` is the corpus's first test set."""
    by_set: dict[str, dict] = {}
    for name in ("dev", *setting.corpus.tests):
        rows = [row for row in hypotheses if row["set"] == name]
        result = score([r["reference"] for r in rows], [r["hypothesis"] for r in rows])
        by_set[name] = {"wer": result.wer, "cer": result.cer, "utterances": len(rows), "words": result.words}
    dev = by_set.pop("dev")
    first = next(iter(by_set.values()))
    return {
        "dev_wer": dev["wer"],
        "dev_cer": dev["cer"],
        "test_wer": first["wer"],
        "test_cer": first["cer"],
        "tests": by_set,
    }


def training_summary(history: History, begin: int) -> dict:
    """Return loss, epochs and speed of a finished training that began at epoch ``begin``."""
    last = next(row for row in reversed(history.rows) if "train_loss" in row)
    return {
        "train_loss": last["train_loss"],
        "epochs": round(last["epoch"]) - begin,
        "audio_seconds_per_second": round(history.audio_seconds / history.seconds, 2),
    }


def write_round(
    folder: Path,
    weights: dict[str, Tensor],
    metrics: dict,
    hypotheses: list[dict],
    history: list[dict],
) -> None:
    """Write the files of a finished round beside its mask."""
    save_tensors(weights, folder / "weights.safetensors")
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1), encoding="utf-8")
    write_jsonl(folder / "hypotheses.jsonl", hypotheses)
    write_jsonl(folder / "history.jsonl", history)
