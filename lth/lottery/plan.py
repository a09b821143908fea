"""From a config to all that a lottery is, decided before anything is trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig

from lth.errors import UserError
from lth.lottery.gradual import gradual
from lth.lottery.iterative import Iterative, Pruning
from lth.lottery.noise_grid import NoiseCondition, noise_conditions
from lth.lottery.rewinding import RoundSpec, rewinding, round0_spec
from lth.lottery.round import ingredients
from lth.lottery.setup.key import identity
from lth.lottery.setup.resume import Resumed, resume
from lth.lottery.setup.schema import check
from lth.lottery.setup.setting import ExperimentSetup, prepare
from lth.lottery.setup.start import Start, start_of
from lth.lottery.strategy import Strategy
from lth.speech.corpora.corpus import SAMPLING_RATE, utterance_infos
from lth.speech.corpora.measure import decoded
from lth.store.store import Store, round_key
from lth.training.memory import check_memory

DECODED_BEFORE = 24.0
"""Hours of dev and test that are decoded before the first epoch."""


@dataclass(frozen=True)
class Plan:
    """What a lottery plays.

    Args:
        config: as it was composed, or as it was recorded for a lottery that is resumed from W&B.
        start: what round 0 is made from.
        started: in words; empty for a start from nothing.
        dense: round 0, which is dense unless it is somebody's ticket.
        rounds: pruned rounds after it.
        densities: after each of them, counted before anything is trained.
        pruning: makes each round from the one before.
        noise_grid: the noises that finished rounds are tested in; empty without ``test_noise``.
        init: its file in the store.
        inputs: of round 0's key.
        identity: of the experiment.
        resumed: what W&B remembers of it, where it is resumed from there.
    """

    config: DictConfig
    setting: ExperimentSetup
    start: Start
    started: str
    dense: RoundSpec
    rounds: int
    densities: list[float]
    pruning: Pruning
    noise_grid: list[NoiseCondition]
    store: Store
    init: Path
    inputs: Mapping
    identity: str
    resumed: Resumed | None

    @classmethod
    def of(cls, config: DictConfig, start: Start | None = None) -> "Plan":
        """Plan the lottery of a config.

        Args:
            start: what round 0 is made from, if not what ``ticket`` says.

        Raises:
            UserError: anything that cannot work, in one sentence.
        """
        resumed = None if config.resume is None else resume(config)
        config = resumed.config if resumed else config
        check(config)
        strategy = Strategy.of(config)
        start = resumed.start if resumed else start or start_of(config)
        rounds = strategy.rounds(config.rounds, config.target, start.density)
        fresh = prepare(config, start.tokens)
        setting, mask = start.prepare(fresh)
        noises = noise_conditions(config, setting.noise)
        layers = list(setting.layers.values())
        strategy = strategy.starting_at(mask.density)
        densities = strategy.densities(mask, layers, rounds)
        rewind = rewinding(config, start.epoch)
        pruning = gradual(config, strategy, layers, rewind) or Iterative(strategy, layers, rewind)
        dense = round0_spec(mask, setting.init, start.epoch, config.trainer.max_epochs, start.source)
        store = Store(Path(config.store))
        init = store.put_init(setting.init)
        inputs = ingredients(setting, init.parent.name, dense)
        who = identity(config, inputs, start.origin)
        if store.find(round_key(inputs)) is None:  # something is going to be trained
            check_fits(setting)
            check_recordings(setting)
        if resumed:
            resumed.check(who, inputs)
        return cls(
            config=config,
            setting=setting,
            start=start,
            started="" if resumed else start.describe(fresh),
            dense=dense,
            rounds=rounds,
            densities=densities,
            pruning=pruning,
            noise_grid=noises,
            store=store,
            init=init,
            inputs=inputs,
            identity=who,
            resumed=resumed,
        )


def check_fits(setting: ExperimentSetup) -> None:
    """Raise UserError where the training would take more memory than there is."""
    options, longest = setting.config.trainer, max(one.num_samples for one in utterance_infos(setting.corpus.train))
    longest = int(longest / setting.perturbation.slowest)
    together = options.batch_size
    if options.max_duration:
        together = max(1, int(options.max_duration / (longest / SAMPLING_RATE)))
    with torch.random.fork_rng(devices=[]):
        model = setting.model()
    frames = setting.features.frames(longest)
    together, device = min(together, setting.utterances), setting.device
    half = device.precision.startswith("bf16")
    check_memory(model, setting.features.bins, frames, together, device.accelerator, half=half)


def check_recordings(setting: ExperimentSetup) -> None:
    """Raise UserError for the first recording of dev or test that cannot be heard: better now than after a round.

    Nothing else is learnt of them here. Of large sets the first `DECODED_BEFORE` hours are decoded.
    """
    left = DECODED_BEFORE * 3600
    for cuts in (setting.corpus.dev, *setting.corpus.tests.values()):
        for cut, fault in decoded(cuts):
            if fault:
                raise UserError(fault)
            left -= cut.duration
            if left < 0:
                return
