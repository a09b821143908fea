"""The lottery: train, prune the weakest survivors, rewind the rest, train again.

Iterative magnitude pruning as in Frankle & Carbin (2019), on speech recognisers as in Ding et al. (2022).
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from lth.analysis.rounds import Row, summary_table, winning
from lth.display import Display
from lth.folder import ExperimentFolder, claim
from lth.round import play
from lth.schema import check
from lth.setting import Setting, count, prepare
from lth.store import Store, StoredRound, round_key
from lth.strategy import Strategy
from lth.tickets.mask import Mask
from lth.tracking import Tracker, open_tracker


def run(config: DictConfig, console: Console, on_round: Callable[[list[Row]], None] | None = None) -> list[Row]:
    """One experiment from its config to its last round; goes on where an earlier call was stopped.

    Args:
        on_round: hears the rows so far after every round; whatever it raises ends the experiment there.

    Raises:
        UserError: bad input, in one sentence; finished rounds are kept.
    """
    check(config)
    strategy = Strategy.of(config)
    rounds = strategy.rounds(config.rounds, config.target)
    setting = prepare(config)
    layers = list(setting.layers.values())
    plan = strategy.densities(setting.dense(), layers, rounds)
    store = Store(Path(config.store))
    init = store.put_init(setting.init)
    with claim(Path(config.outputs), config.name, identity(setting, init), console) as folder:
        rounds = max(rounds, folder.rounds_listed() - 1)
        folder.begin(config, init, rounds)
        console.print(opening(setting, folder, plan), highlight=False, soft_wrap=True)
        lottery = Lottery(setting, store, folder, tracker_of(config, folder), Display(console, rounds), init)
        mask, trained = setting.dense(), None
        for number in range(rounds + 1):
            if trained is not None:
                mask = strategy.prune(trained.weights(), mask, layers, number)
            trained = lottery.round(number, mask)
            folder.add(number, trained)
            if on_round is not None:
                on_round(folder.rows())
        rows = folder.rows()
        extreme, best = winning(rows)
        lottery.tracker.close(extreme=extreme and extreme.round, best=best and best.round)
        folder.finish()
    console.print(summary_table(rows))
    console.print(closing(folder, rows), highlight=False, soft_wrap=True)
    return rows


@dataclass(frozen=True)
class Lottery:
    """What every round of a running experiment needs."""

    setting: Setting
    store: Store
    folder: ExperimentFolder
    tracker: Tracker
    display: Display
    init: Path

    def round(self, number: int, mask: Mask) -> StoredRound:
        """Play a round inside its W&B run; one that is found in the store tells its history there."""
        init = self.init.parent.name
        inputs = self.setting.key_inputs(init, mask)
        self.display.begin(number, mask.density)
        with self.tracker.round(number, inputs={"key": round_key(inputs), **inputs}) as wandb_run:
            stored = play(
                self.setting,
                self.store,
                number,
                init,
                mask,
                trained_by=self.folder.id,
                listeners=[wandb_run.log],
                display=[self.display],
            )
            wandb_run.finish(
                stored.metrics,
                init=self.init,
                mask=stored.path / "mask.lth",
                weights=stored.path / "weights.safetensors" if self.setting.config.tracking.log_weights else None,
            )
        self.display.end(stored.metrics, reused=stored.metrics["trained_by"] != self.folder.id)
        return stored


def tracker_of(config: DictConfig, folder: ExperimentFolder) -> Tracker:
    """The tracker that ``tracking`` asks for, writing into the experiment's own folder."""
    tracking = config.tracking
    return open_tracker(
        tracking.mode,
        experiment=folder.name,
        experiment_id=folder.id,
        folder=folder.path,
        project=tracking.project,
        entity=tracking.entity,
        config=OmegaConf.to_container(config, resolve=True),
        init_timeout=tracking.init_timeout,
        finish_timeout=tracking.finish_timeout,
    )


def identity(setting: Setting, init: Path) -> str:
    """What makes an experiment this one: its dense round and its strategy, however many rounds are asked for."""
    dense = round_key(setting.key_inputs(init.parent.name, setting.dense()))
    strategy = OmegaConf.to_container(setting.config.strategy, resolve=True)
    return hashlib.sha256(json.dumps([dense, strategy], sort_keys=True).encode()).hexdigest()[:16]


def opening(setting: Setting, folder: ExperimentFolder, plan: Sequence[float]) -> str:
    """What is about to happen: data, model, and where the schedule will end."""
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


def closing(folder: ExperimentFolder, rows: Sequence[Row]) -> str:
    """What it took, and where to look."""
    reused = sum(row.reused for row in rows)
    return f"{len(rows) - reused} rounds trained, {reused} reused · {folder.path / 'report.html'}"
