"""The lottery: train, prune the weakest survivors, rewind the rest, train again.

Iterative magnitude pruning as in Frankle & Carbin (2019), on speech recognisers as in Ding et al. (2022).
"""

import functools
import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import Tensor

from lth.lottery.branch.noise_grid import Condition, chosen, conditions, history, measure, summary
from lth.lottery.display import Display
from lth.lottery.evidence import gather
from lth.lottery.gradual import gradual
from lth.lottery.rewinding import Round, Ticket, first_ticket, rewinding
from lth.lottery.round import ingredients, play
from lth.lottery.setup.resume import resume, same_weights
from lth.lottery.setup.schema import check
from lth.lottery.setup.setting import Setting, count, prepare
from lth.lottery.setup.start import Start, start
from lth.lottery.strategy import Strategy, named
from lth.speech.corpora.corpus import SAMPLING_RATE, utterance_infos
from lth.store.folder import ExperimentFolder, claim
from lth.store.noise_rows import write_noise_csv
from lth.store.rows import Row, summary_table, winning
from lth.store.store import Store, StoredRound, round_key
from lth.tickets.mask import Mask
from lth.tracking.noise import log_noise
from lth.tracking.remember import ROUND_FILES
from lth.tracking.tracker import Tracker, open_tracker
from lth.training.memory import check_memory

log = logging.getLogger(__name__)


def run(
    config: DictConfig,
    console: Console,
    on_round: Callable[[list[Row]], None] | None = None,
    begin: Start | None = None,
    report: Callable[[Path], object] | None = None,
) -> list[Row]:
    """One experiment from its config to its last round; goes on where an earlier call was stopped.

    Args:
        on_round: hears the rows so far after every round; whatever it raises ends the experiment there.
        begin: where it starts, if not where ``ticket`` says.
        report: writes a report from the experiment's folder, after every round that was trained and at the end.

    Raises:
        UserError: bad input, in one sentence; finished rounds are kept.
    """
    past = None
    if config.resume is not None:
        past = resume(config)
        config = past.config
    check(config)
    strategy = Strategy.of(config)
    begin = past.start if past else begin or start(config)
    rounds = strategy.rounds(config.rounds, config.target, begin.density)
    fresh = prepare(config, begin.tokens)
    setting, mask = begin.prepare(fresh)
    grid = conditions(config, setting.noise)
    layers = list(setting.layers.values())
    strategy = strategy.starting_at(mask.density)
    plan = strategy.densities(mask, layers, rounds)
    rewind = rewinding(config, begin.epoch)
    pruning = gradual(config, strategy, layers, rewind)
    first = first_ticket(mask, setting.init, begin.epoch, config.trainer.max_epochs, begin.source)
    store = Store(Path(config.store))
    init = store.put_init(setting.init)
    inputs = ingredients(setting, init.parent.name, first)
    own = identity(setting, inputs, begin.origin)
    if store.find(round_key(inputs)) is None:  # something is going to be trained
        fits(setting)
    if past:
        past.check(own, inputs)
    with claim(Path(config.outputs), config.name, own, console, past and past.id, report) as folder:
        if past:
            past.restore(store, folder, track=config.tracking.mode != "disabled")
        rounds = max(rounds, folder.rounds_listed() - 1)
        folder.begin(config, init, rounds, begin.origin)
        store.register(folder.id, folder.path)
        console.print(opening(setting, folder, mask, plan, (pruning or rewind).words), highlight=False, soft_wrap=True)
        if not past and (words := begin.describe(fresh)):
            console.print(words, markup=False, highlight=False, soft_wrap=True)
        tracker = tracker_of(config, folder, inputs, begin)
        lottery = Lottery(setting, store, folder, tracker, Display(console, rounds), init, begin.trained)
        ticket, tickets, before = first, [], None
        for number in range(rounds + 1):
            if before is not None and pruning:
                ticket = pruning(first, strategy.densities(first.mask, layers, number)[-1])
            elif before is not None:
                scored = first.weights if strategy.criterion.scored_at == "init" else before.weights
                evidence = functools.partial(gather, setting)
                mask = folder.mask(number) or strategy.prune(scored(), mask, layers, number, evidence)
                ticket = rewind(mask, first, before, lottery.reach)
                if words := emptied(mask, tickets[-1].mask):
                    console.print(f"round {number}: {words}", highlight=False, soft_wrap=True)
            tickets.append(ticket)
            trained = lottery.round(number, ticket)
            before = Round(trained.key, functools.partial(lottery.weights, number, ticket, trained))
            folder.add(number, trained)
            if on_round is not None:
                on_round(folder.rows())
        rows = folder.rows()
        if grid:
            lottery.in_noise(rows, tickets, grid)
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
    trained: bool = False  # the init is

    def round(self, number: int, ticket: Ticket) -> StoredRound:
        """Play a round inside its W&B run; one that is found in the store tells its history there."""
        inputs = self.inputs(ticket)
        self.display.begin(number, ticket.density or ticket.mask.density)
        with self.tracker.round(number, inputs={"key": round_key(inputs), **inputs}) as wandb_run:
            stored = self.play(number, ticket, listeners=[wandb_run.log])
            wandb_run.finish(
                stored.metrics,
                init=self.init,
                mask=stored.path / "mask.lth",
                rewind=stored.point,
                weights=stored.path / "weights.safetensors" if self.setting.config.tracking.log_weights else None,
                files=[stored.path / name for name in ROUND_FILES],
            )
        self.display.end(stored.metrics, reused=stored.metrics["trained_by"] != self.folder.id)
        return stored

    def reach(self, ticket: Ticket) -> Round:
        """A round that is no round of the experiment: how far round 0 had come; played when its weights are needed."""

        def weights() -> dict[str, Tensor]:
            with self.display.aside(0, ticket.mask.density):
                return self.play(0, ticket, weights=True).weights()

        return Round(round_key(self.inputs(ticket)), weights)

    def weights(self, number: int, ticket: Ticket, stored: StoredRound) -> dict[str, Tensor]:
        """A round's trained weights; one that came back from W&B without them is trained once more."""
        if stored.has_weights:
            return stored.weights()
        with self.display.aside(number, stored.metrics["density"]):
            again = self.play(number, ticket, weights=True)
        if not same_weights(stored, again):
            log.warning(
                "round %d, trained again on this machine, has other weights than W&B remembers (dev WER %.2f%%, there "
                "%.2f%%); the rounds after it go on from these",
                number,
                100 * again.metrics["dev_wer"],
                100 * stored.metrics["dev_wer"],
            )
        self.folder.add(number, again)
        return again.weights()

    def in_noise(self, rows: Sequence[Row], tickets: Sequence[Ticket], grid: Sequence[Condition]) -> None:
        """The dense round and the winning tickets in every noise of the grid: `noise.csv`, and a run beside theirs."""
        tested = sorted(set(chosen(rows).values()))
        for number in tested:
            stored = self.folder.rounds[number]
            self.weights(number, tickets[number], stored)
        measured = measure(self.setting, self.store, self.folder.rounds, rows, grid, self.display.console)
        file = self.folder.path / "noise.csv"
        write_noise_csv(file, measured)
        settings = OmegaConf.to_container(self.setting.config.test_noise, resolve=True)
        log_noise(self.tracker, file, tested, history(measured), summary(measured), settings)

    def inputs(self, ticket: Ticket) -> dict:
        return ingredients(self.setting, self.init.parent.name, ticket)

    def play(self, number: int, ticket: Ticket, **options) -> StoredRound:
        """The round from the store, or trained."""
        init = self.init.parent.name
        who = {"trained_by": self.folder.id, "display": [self.display]}
        score_start = self.trained and number == 0
        return play(self.setting, self.store, number, init, ticket, **who, score_start=score_start, **options)


def tracker_of(config: DictConfig, folder: ExperimentFolder, inputs: dict, begin: Start) -> Tracker:
    """The tracker that ``tracking`` asks for, writing into the experiment's own folder.

    Args:
        inputs: of round 0's key; they go with every round, for whoever resumes the experiment elsewhere.
        begin: names the W&B artifacts that round 0 was made from, if it is somebody's ticket.
    """
    tracking = config.tracking
    return open_tracker(
        tracking.mode,
        experiment=folder.name,
        experiment_id=folder.id,
        folder=folder.path,
        project=tracking.project,
        entity=tracking.entity,
        group=tracking.group,
        config=OmegaConf.to_container(config, resolve=True),
        init_timeout=tracking.init_timeout,
        finish_timeout=tracking.finish_timeout,
        about={
            "id": folder.id,
            "identity": folder.identity,
            "inputs": inputs,
            "config": OmegaConf.to_container(config, resolve=False),
            "origin": begin.origin,
        },
        uses=begin.uses,
        cache_gb=tracking.cache_gb,
    )


def identity(setting: Setting, inputs: dict, origin: Mapping) -> str:
    """What makes an experiment this one: its round 0 and its strategy, however many rounds are asked for.

    What there was no choice of once goes without saying: experiments from before there was stay the same.
    """
    strategy = named(OmegaConf.to_container(setting.config.strategy, resolve=True))
    if strategy.get("rewind") == {"_target_": "lth.lottery.rewinding.Init"}:
        del strategy["rewind"]
    made_of = [round_key(inputs), strategy]
    if origin.get("transfer") != "ticket" and origin:  # another question, though its round may be the same
        made_of.append(origin)
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


def opening(setting: Setting, folder: ExperimentFolder, first: Mask, plan: Sequence[float], how: str = "") -> str:
    """What is about to happen: data, model, where the schedule starts if not dense, and where it will end.

    Args:
        how: what is special about how rounds are trained.
    """
    corpus, prunable = setting.corpus, first.total
    counts = ", ".join(f"{count(cuts)} {name}" for name, cuts in corpus.splits().items())
    dropped = "".join(f"; dropped {len(ids)} ({reason})" for reason, ids in corpus.dropped.items())
    ends = f"{len(plan)} pruned rounds end at {plan[-1]:.2%} of them" if plan else "no pruned rounds"
    if first.density < 1:
        ends = f"a ticket of {first.density:.2%} of them; {ends}"
    how = f"; {how}" if how else ""
    return (
        f"[bold]{folder.name}[/bold]: {corpus.name}, {counts} utterances{dropped}\n"
        f"model: {setting.parameters:,} parameters, {prunable:,} of them prunable; {ends}\n"
        f"training: {setting.config.trainer.max_epochs} epochs a round on {setting.machine.accelerator}, "
        f"{setting.machine.precision}{how}; results in {folder.path}"
    )


def fits(setting: Setting) -> None:
    """UserError where the training would take more memory than there is."""
    options, longest = setting.config.trainer, max(one.num_samples for one in utterance_infos(setting.corpus.train))
    longest = int(longest / setting.perturbation.slowest)
    together = options.batch_size
    if options.max_duration:
        together = max(1, int(options.max_duration / (longest / SAMPLING_RATE)))
    with torch.random.fork_rng(devices=[]):
        model = setting.model()
    frames = setting.features.frames(longest)
    together, machine = min(together, setting.utterances), setting.machine
    half = machine.precision.startswith("bf16")
    check_memory(model, setting.features.bins, frames, together, machine.accelerator, half=half)


def emptied(mask: Mask, before: Mask) -> str:
    """A warning of parameters that have just lost their last weight; empty where none has."""
    gone = [name for name, kept in mask.survivors().items() if not kept and before.survivors()[name]]
    if not gone:
        return ""
    some = ", ".join(gone[:3]) + (f" and {len(gone) - 3} more" if len(gone) > 3 else "")
    module = gone[0].rpartition(".")[0]
    return f"nothing is left of {some}: strategy=layerwise, or strategy.exclude=[{module}], would keep some of it"


def closing(folder: ExperimentFolder, rows: Sequence[Row]) -> str:
    """What it took, and where to look."""
    reused = sum(row.reused for row in rows)
    return f"{len(rows) - reused} rounds trained, {reused} reused · {folder.path / 'report.html'}"
