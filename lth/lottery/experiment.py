"""The lottery: train, prune the weakest survivors, rewind the rest, train again.

Iterative magnitude pruning as in Frankle & Carbin (2019), on speech recognisers as in Ding et al. (2022).
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from rich.console import Console
from torch import Tensor

from lth.lottery import noise_grid
from lth.lottery.display import Display
from lth.lottery.iterative import Known
from lth.lottery.messages import closing, emptied_warning, opening
from lth.lottery.plan import Plan
from lth.lottery.rewinding import RoundSpec, TrainedRound
from lth.lottery.round import ingredients, train_round
from lth.lottery.setup.plain import plain
from lth.lottery.setup.resume import same_weights
from lth.store.folder import ExperimentFolder, claim
from lth.store.noise_rows import write_noise_csv
from lth.store.rows import Row, summary_table, winning
from lth.store.store import StoredRound, round_key
from lth.tracking.artifacts import round_artifacts
from lth.tracking.noise import log_noise
from lth.tracking.session import TrackingOptions
from lth.tracking.tracker import Tracker

log = logging.getLogger(__name__)

#: Hears the rows so far after every round; whatever it raises ends the lottery there.
OnRound = Callable[[list[Row]], None]
#: Writes a report from an experiment's folder.
Report = Callable[[Path], object]


def run(plan: Plan, console: Console, on_round: OnRound | None = None, report: Report | None = None) -> list[Row]:
    """Play a lottery to its last round, going on where an earlier call was stopped.

    Args:
        report: called after every round that was trained, and at the end.

    Raises:
        UserError: bad input, in one sentence; finished rounds are kept.
    """
    with Lottery.open(plan, console, report) as lottery:
        trained = None
        for number in range(lottery.rounds + 1):
            ticket = plan.dense if trained is None else lottery.next_ticket(number, trained)
            trained = lottery.train(number, ticket)
            if on_round is not None:
                on_round(lottery.rows())
        return lottery.finish()


@dataclass(frozen=True)
class Lottery:
    """A lottery that is being played: its plan, its folder, what it writes to W&B and what it shows."""

    plan: Plan
    folder: ExperimentFolder
    tracker: Tracker
    display: Display
    tickets: list[RoundSpec] = field(default_factory=list)  # of the rounds so far
    trained: set[int] = field(default_factory=set)  # the rounds that this call has trained

    @classmethod
    @contextmanager
    def open(cls, plan: Plan, console: Console, report: Report | None = None) -> Iterator["Lottery"]:
        """Claim the experiment's folder, for this process alone, and say what is about to happen."""
        config, resumed = plan.config, plan.resumed
        id = resumed and resumed.id
        with claim(Path(config.outputs), config.name, plan.identity, console, id, report) as folder:
            if resumed:
                resumed.restore(plan.store, folder, track=config.tracking.mode != "disabled")
            rounds = max(plan.rounds, folder.rounds_listed() - 1)
            folder.begin(config, plan.init, rounds, plan.start.origin)
            plan.store.register(folder.id, folder.path)
            console.print(opening(plan, folder), highlight=False, soft_wrap=True)
            if plan.started:
                console.print(plan.started, markup=False, highlight=False, soft_wrap=True)
            yield cls(plan, folder, tracker_of(plan, folder), Display(console, rounds))

    @property
    def rounds(self) -> int:
        """Return the number of pruned rounds: as many as are asked for, and no fewer than there are already."""
        return self.display.rounds

    def next_ticket(self, number: int, previous: TrainedRound) -> RoundSpec:
        """Return what round ``number`` trains, made from the round before: pruned and rewound."""
        known = Known(self.plan.setting, self.plan.dense, self.folder.mask, self.train_until)
        ticket = self.plan.pruning(number, previous, known)
        if words := emptied_warning(ticket.mask, previous.mask):
            self.display.console.print(f"round {number}: {words}", markup=False, highlight=False, soft_wrap=True)
        return ticket

    def train(self, number: int, ticket: RoundSpec) -> TrainedRound:
        """Train a round inside its W&B run; one that is found in the store tells its history there."""
        self.tickets.append(ticket)
        inputs = self.inputs(ticket)
        self.display.begin(number, ticket.density or ticket.mask.density)
        with self.tracker.round(number, inputs={"key": round_key(inputs), **inputs}) as wandb_run:
            stored = self.play(number, ticket, listeners=[wandb_run.log])
            artifacts = round_artifacts(
                wandb_run.record,
                stored,
                init=self.plan.init,
                rewind=stored.rewind_weights,
                about=self.tracker.about,
                weights=self.tracker.options.log_weights,
            )
            wandb_run.finish(stored.metrics, artifacts)
        self.display.end(stored.metrics, reused=stored.metrics["trained_by"] != self.folder.id)
        self.add(number, stored)
        return TrainedRound(stored.key, partial(self.weights, number, ticket, stored), ticket.mask)

    def add(self, number: int, stored: StoredRound) -> None:
        """List a finished round in the experiment's folder."""
        if stored.new:
            self.trained.add(number)
        self.folder.add(number, stored)

    def train_until(self, ticket: RoundSpec) -> TrainedRound:
        """Return how far round 0 had come at some epoch, which is no round of the lottery; trained when asked for."""

        def weights() -> dict[str, Tensor]:
            with self.display.aside(0, ticket.mask.density):
                return self.play(0, ticket, weights=True).weights()

        return TrainedRound(round_key(self.inputs(ticket)), weights, ticket.mask)

    def weights(self, number: int, ticket: RoundSpec, stored: StoredRound) -> dict[str, Tensor]:
        """Return a round's trained weights; one that came back from W&B without them is trained once more."""
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
        self.add(number, again)
        return again.weights()

    def finish(self) -> list[Row]:
        """Test in noise where that is asked for, name the winners, say what it came to; return the rows."""
        rows, console = self.rows(), self.display.console
        if self.plan.noise_grid:
            self.test_in_noise(rows)
        extreme, best = winning(rows)
        self.tracker.close(extreme=extreme and extreme.round, best=best and best.round)
        self.folder.finish()
        console.print(summary_table(rows))
        console.print(closing(self.folder, rows), markup=False, highlight=False, soft_wrap=True)
        return rows

    def test_in_noise(self, rows: list[Row]) -> None:
        """Test the dense round and the winning tickets in every noise: `noise.csv`, and a W&B run beside theirs."""
        tested = sorted(set(noise_grid.tested_rounds(rows).values()))
        for number in tested:
            self.weights(number, self.tickets[number], self.folder.rounds[number])
        plan = self.plan
        measured = noise_grid.measure(
            plan.setting, plan.store, self.folder.rounds, rows, plan.noise_grid, self.display.console
        )
        file = self.folder.path / "noise.csv"
        write_noise_csv(file, measured)
        settings = plain(plan.config.test_noise)
        log_noise(self.tracker, file, tested, noise_grid.history(measured), noise_grid.summary(measured), settings)

    def rows(self) -> list[Row]:
        """Return the rows of the rounds so far."""
        return [replace(row, earlier=not row.reused and row.round not in self.trained) for row in self.folder.rows()]

    def inputs(self, ticket: RoundSpec) -> dict:
        """Return what a round's key is made of."""
        return ingredients(self.plan.setting, self.plan.init.parent.name, ticket)

    def play(self, number: int, ticket: RoundSpec, **options) -> StoredRound:
        """Return the round from the store, or train it."""
        plan, init = self.plan, self.plan.init.parent.name
        who = {"trained_by": self.folder.id, "display": [self.display]}
        score_start = plan.start.trained and number == 0
        return train_round(plan.setting, plan.store, number, init, ticket, **who, score_start=score_start, **options)


def tracker_of(plan: Plan, folder: ExperimentFolder) -> Tracker:
    """Make the tracker that ``tracking`` asks for, writing into the experiment's own folder."""
    config = plan.config
    return Tracker.open(
        TrackingOptions(**plain(config.tracking)),
        experiment=folder.name,
        experiment_id=folder.id,
        folder=folder.path,
        config=plain(config),
        about={  # goes with every round, for whoever resumes the experiment elsewhere
            "id": folder.id,
            "identity": folder.identity,
            "inputs": dict(plan.inputs),
            "config": plain(config, resolve=False),
            "origin": dict(plan.start.origin),
        },
        uses=plan.start.uses,
    )
