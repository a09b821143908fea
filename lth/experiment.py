"""The lottery: train, prune the weakest survivors, rewind the rest, train again.

Iterative magnitude pruning as in Frankle & Carbin (2019), on speech recognisers as in Ding et al. (2022).
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from lth.analysis.rounds import Row, summary_table, winning
from lth.display import Display
from lth.errors import UserError
from lth.folder import ExperimentFolder, claim
from lth.round import play
from lth.schema import check
from lth.setting import Setting, build, count, prepare
from lth.store import Store, StoredRound, round_key
from lth.tickets.allocation import rehearse
from lth.tickets.mask import Mask
from lth.tickets.prune import prune
from lth.tickets.schedule import rounds_to
from lth.tracking import Tracker, open_tracker


def run(config: DictConfig, console: Console) -> list[Row]:
    """One experiment from its config to its last round; resumes where an earlier call was stopped.

    Raises:
        UserError: bad input, in one sentence; finished rounds are kept.
    """
    check(config)
    schedule, allocation, criterion = (build(config.strategy[part]) for part in ("schedule", "allocation", "criterion"))
    rounds = _rounds(config, schedule)
    tracking = OmegaConf.to_container(config.tracking, resolve=True)
    setting = prepare(config)
    plan = _plan(setting, schedule, allocation, rounds)
    store = Store(Path(config.store))
    init = store.put_init(setting.init)
    with claim(Path(config.outputs), config.name, _identity(setting, init.parent.name), console) as folder:
        rounds = max(rounds, folder.rounds_listed() - 1)
        folder.begin(config, init, rounds)
        console.print(_opening(setting, folder, plan), highlight=False, soft_wrap=True)
        tracker = open_tracker(
            tracking.pop("mode"),
            experiment=folder.name,
            experiment_id=folder.id,
            folder=folder.path,
            project=tracking.pop("project"),
            entity=tracking.pop("entity"),
            config=OmegaConf.to_container(config, resolve=True),
            init_timeout=tracking["init_timeout"],
            finish_timeout=tracking["finish_timeout"],
        )
        display = Display(console, rounds)
        mask, previous = setting.dense(), None
        for number in range(rounds + 1):
            if previous is not None:
                mask = next_mask(setting, previous, mask, number, schedule, allocation, criterion)
            display.begin(number, mask.density, rounds - number)
            previous = _tracked_round(setting, store, folder, tracker, number, init, mask, display)
            folder.add(number, previous)
        rows = folder.rows()
        extreme, best = winning(rows)
        tracker.close(extreme=extreme and extreme.round, best=best and best.round)
        folder.finish()
    console.print(summary_table(rows))
    console.print(_closing(folder, rows), highlight=False, soft_wrap=True)
    return rows


def next_mask(
    setting: Setting, previous: StoredRound, mask: Mask, number: int, schedule, allocation, criterion
) -> Mask:
    """Prune the trained weights of the previous round; random choices depend on seed and round only."""
    generator = torch.Generator().manual_seed(setting.seed * 100_003 + number)
    return prune(
        previous.weights(),
        mask,
        list(setting.layers.values()),
        amount=schedule.amount(number),
        allocation=allocation,
        criterion=criterion,
        generator=generator,
    )


def _tracked_round(
    setting: Setting,
    store: Store,
    folder: ExperimentFolder,
    tracker: Tracker,
    number: int,
    init: Path,
    mask: Mask,
    display: Display,
) -> StoredRound:
    """Play a round inside its W&B run; a round that needs no training replays its history there."""
    inputs = setting.key_inputs(init.parent.name, mask)
    key = round_key(inputs)
    known = store.find(key)
    reused = known is not None and known.metrics["trained_by"] != folder.id
    with tracker.round(number, inputs={"key": key, **inputs}, reused=reused) as wandb_run:
        listeners = [wandb_run.log]
        if known is None:
            known = play(
                setting,
                store,
                number,
                init.parent.name,
                mask,
                experiment=folder.id,
                listeners=listeners,
                display=[display],
            )
        else:
            for row in known.history():
                wandb_run.log(row)
        display.report(known.metrics, reused)
        weights = known.path / "weights.safetensors" if setting.config.tracking.log_weights else None
        wandb_run.finish(known.metrics, init=init, mask=known.path / "mask.lth", weights=weights)
    return known


def _rounds(config: DictConfig, schedule) -> int:
    """Pruned rounds to play: as many as asked for, or as the target density needs."""
    if config.target is None:
        return config.rounds
    try:
        return rounds_to(schedule, config.target)
    except ValueError as error:
        raise UserError(f"target={config.target}: {error}") from error


def _plan(setting: Setting, schedule, allocation, rounds: int) -> list[float]:
    """The density after each pruned round, counted before anything is trained."""
    sizes = {name: bits.numel() for name, bits in setting.dense().items()}
    amounts = [schedule.amount(n) for n in range(1, rounds + 1)]
    try:
        return rehearse(allocation, amounts, sizes, list(setting.layers.values()))
    except ValueError as error:
        raise UserError(f"strategy: {error}") from error


def _identity(setting: Setting, init: str) -> str:
    """What makes an experiment this one: its dense round and its strategy, however many rounds are asked for."""
    dense = round_key(setting.key_inputs(init, setting.dense()))
    strategy = OmegaConf.to_container(setting.config.strategy, resolve=True)
    return hashlib.sha256(json.dumps([dense, strategy], sort_keys=True).encode()).hexdigest()[:16]


def _opening(setting: Setting, folder: ExperimentFolder, plan: Sequence[float]) -> str:
    corpus, prunable = setting.corpus, setting.dense().total
    counts = ", ".join(f"{count(cuts)} {name}" for name, cuts in corpus.splits().items())
    dropped = "".join(f"; dropped {len(ids)} ({reason})" for reason, ids in corpus.dropped.items())
    ends = f"{len(plan)} pruned rounds end at {plan[-1]:.2%} of them" if plan else "no pruned rounds"
    return (
        f"[bold]{folder.name}[/bold]: {corpus.name}, {counts} utterances{dropped}\n"
        f"model: {setting.parameters:,} parameters, {prunable:,} of them prunable; {ends}\n"
        f"training: {setting.config.trainer.max_epochs} epochs a round on {setting.machine.accelerator}, "
        f"{setting.machine.precision}; results in {folder.path}"
    )


def _closing(folder: ExperimentFolder, rows: Sequence[Row]) -> str:
    reused = sum(row.reused for row in rows)
    return f"{len(rows) - reused} rounds trained, {reused} reused · {folder.path / 'report.html'}"
