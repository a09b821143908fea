"""Controls of a finished ticket: ``control=all ticket=...`` plays each as an experiment of one round.

Everything but the part that a control replaces is the ticket's: its experiment says corpus, model, trainer and
seed, and the command line only where things lie here.
"""

import hashlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from omegaconf import DictConfig, OmegaConf
from rich import box
from rich.console import Console
from rich.table import Table

from lth.errors import UserError
from lth.lottery.experiment import Report, run
from lth.lottery.plan import Plan
from lth.lottery.setup.build import build
from lth.lottery.setup.find import SourceExperiment, SourceTicket, load_ticket
from lth.lottery.setup.plain import merge, plain
from lth.lottery.setup.recorded import LOCATION_KEYS, command_overrides, difference, relocate
from lth.lottery.setup.setting import ExperimentSetup
from lth.lottery.setup.start import Start
from lth.speech.bpe import is_bpe
from lth.store.rows import Row, density_text, rate_text
from lth.tickets.controls import Shuffle, random_mask, shuffled_mask, signed
from lth.tickets.mask import Mask
from lth.tickets.structure import Weights

KINDS = ("random", "shuffled", "fresh", "sign", "dense")
REPEATED = ("random", "shuffled", "fresh")  # what ``control_seeds`` draws several of
#: Words of the command that are about the controls, not about the ticket's setting.
COMMAND_KEYS = ("control", "control_seeds", "ticket", "transfer", "name", "rounds", "target", "seeds")

Change = Callable[[ExperimentSetup, Mask], tuple[ExperimentSetup, Mask]]


def control(config: DictConfig, console: Console, report: Report | None = None) -> list[list[Row]]:
    """Play the controls that ``control`` names and say what they show; returns the rows of each.

    A control that fails leaves the others alone.

    Raises:
        UserError: bad words, no ticket, or one whose experiment is not known; or what the failed controls said.
    """
    kinds, seeds = kinds_of(config), control_seeds(config)
    if config.resume is not None:
        raise UserError(f"control={config.control} and resume={config.resume} are two commands; leave one of them out")
    if (ticket := load_ticket(config)) is None:
        raise UserError(f"control={config.control} needs the ticket that it is a control of: ticket=")
    if ticket.mask.density == 1:
        raise UserError(f"ticket={ticket.source} keeps every weight: there is nothing to control for")
    found = ticket.experiment()
    base = setting_of(config, ticket, found)
    results, failed = [], []
    for kind in kinds:
        for seed in seeds if kind in REPEATED else [0]:
            try:
                one, start = experiment(base, ticket, found, kind, seed)
                results.append((kind, seed, run(Plan.of(one, start), console, report=report)[-1]))
            except UserError as error:
                failed.append(f"{kind}: {error}")
    if results:
        console.print(table(found, results))
        console.print(verdict(found, results), highlight=False, soft_wrap=True)
    if failed:
        raise UserError("; ".join(failed))
    return [[row] for _, _, row in results]


def kinds_of(config: DictConfig) -> list[str]:
    """Return the kinds that ``control`` asks for, in the order of `KINDS`; UserError for an unknown one."""
    asked = plain(config, resolve=False)["control"]
    asked = [asked] if isinstance(asked, str) else asked
    if not isinstance(asked, list) or not asked or (unknown := [k for k in asked if k not in (*KINDS, "all")]):
        named = ", ".join(map(str, unknown)) if isinstance(asked, list) and asked else asked
        raise UserError(f"control={named} is not valid: give all, or some of {', '.join(KINDS)}")
    return [kind for kind in KINDS if "all" in asked or kind in asked]


def control_seeds(config: DictConfig) -> list[int]:
    """Return the numbers of the draws of what is random; UserError where they are not whole numbers."""
    seeds = plain(config, resolve=False)["control_seeds"]
    if not isinstance(seeds, list) or not seeds or not all(type(s) is int and s >= 0 for s in seeds):
        raise UserError(f"control_seeds={seeds} is not valid: give whole numbers, such as control_seeds=[0,1,2]")
    return list(dict.fromkeys(seeds))


def setting_of(config: DictConfig, ticket: SourceTicket, found: SourceExperiment) -> DictConfig:
    """Return the config that the controls share: the ticket's, with this machine's places, for one round."""
    what = f"control={config.control}"
    spoken = dict(command_overrides())
    for key, value in spoken.items():
        recorded = OmegaConf.select(OmegaConf.create(dict(found.config)), key, default=value)
        if key.split(".")[0] == "strategy" and recorded != value:
            raise UserError(f"{what} takes the strategy from its ticket: leave out {key}={value}")
    places = {} if found.here else LOCATION_KEYS
    base = relocate(found.config, config, what, found.inputs, places=places, leave=COMMAND_KEYS)
    for name, value in found.tracking.items():
        if f"tracking.{name}" not in spoken:
            base.tracking[name] = value
    named = config.name if "name" in spoken else found.name
    words = {"name": f"{named}-{len(found.rows) - 1:02d}", "rounds": 0, "target": None, "seeds": None}
    characters = {} if is_bpe(ticket.tokens) else {"tokens": ticket.tokens}
    return merge(base, words, {"ticket": ticket.source, "transfer": "ticket"}, characters)


def experiment(
    base: DictConfig, ticket: SourceTicket, found: SourceExperiment, kind: str, seed: int
) -> tuple[DictConfig, Start]:
    """Return one control: its config, and where it starts."""
    name = f"{base.name}-control-{kind}" + (f"-seed-{seed}" if seed else "")
    config = merge(base, {"name": name, "control": kind, "control_seeds": [seed]})
    inputs = dict(found.inputs)
    if kind == "dense":
        longer = {"max_epochs": found.budget(), "patience": None}
        config.trainer = merge(config.trainer, longer)
        inputs["trainer"] = inputs["trainer"] | longer

    def change(setting: ExperimentSetup, mask: Mask) -> tuple[ExperimentSetup, Mask]:
        ours = setting.key_inputs(inputs["init"], mask)
        check_same_setting({name: inputs[name] for name in inputs if name in ours}, ours, kind)
        return replaced(kind, seed)(setting, mask)

    origin = {"source": dict(ticket.about), "control": kind, "control_seed": seed, "transfer": None}
    epoch = 0 if kind in ("fresh", "dense") else ticket.epoch  # what is new, or dense, trains from the start
    start = Start(
        ticket.init, ticket.mask, ticket.source, ticket.uses, ticket.tokens, origin, epoch=epoch, change=change
    )
    return config, start


def check_same_setting(theirs: Mapping, ours: Mapping, kind: str) -> None:
    """Raise UserError unless a round of the ticket would be computed as it was; the hardware may be another."""
    hardware = ("accelerator", "precision")
    there, here = ({name: value for name, value in side.items() if name not in hardware} for side in (theirs, ours))
    if words := difference(there, here):
        raise UserError(f"control={kind} would not be in the setting of its ticket: {words}")


def replaced(kind: str, seed: int) -> Change:
    """Return the change that replaces the part of a ticket that ``kind`` is about.

    What is drawn depends on the experiment's seed, the kind and ``seed`` only.
    """

    def change(setting: ExperimentSetup, mask: Mask) -> tuple[ExperimentSetup, Mask]:
        number = control_seed(setting.seed, kind, seed)
        generator = torch.Generator().manual_seed(number)
        if kind == "random":
            return setting, random_mask(mask, list(setting.layers.values()), generator, shuffle_of(setting.config))
        if kind == "shuffled":
            return setting, shuffled_mask(mask, list(setting.layers.values()), generator, shuffle_of(setting.config))
        if kind == "fresh":
            torch.manual_seed(number)
            return replace(setting, init=setting.model().state_dict()), mask
        if kind == "sign":
            return replace(setting, init=signed(setting.init, mask)), mask
        return setting, setting.dense()

    return change


def shuffle_of(config: DictConfig) -> Shuffle | None:
    """Return how masks of this strategy's structure are shuffled; None where it prunes single weights."""
    structure = build(config, "strategy.structure")
    return None if isinstance(structure, Weights) else structure.shuffle


def control_seed(experiment_seed: int, kind: str, seed: int) -> int:
    """Return the seed of a control's random numbers, 32 bits; equal to an experiment's own by chance only."""
    return int.from_bytes(hashlib.sha256(f"{experiment_seed} control {kind} {seed}".encode()).digest()[:4], "little")


def table(found: SourceExperiment, results: Sequence[tuple[str, int, Row]]) -> Table:
    """Tabulate dense model, ticket and controls, error rates in percent."""
    made = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), show_edge=False, pad_edge=False)
    made.caption, made.caption_justify = "Rates in %. Dev alone decides; test is only reported.", "left"
    for name in ("", "weights\n%", "epochs", "dev\nWER", "test\nWER"):
        made.add_column(name, justify="right" if name else "left")
    lines = [("ticket", found.rows[-1])]
    if found.rows[0].density == 1:
        lines.insert(0, ("dense for one round", found.rows[0]))
    lines += [(f"{named(kind)} {seed}" if seed else named(kind), row) for kind, seed, row in results]
    for name, row in lines:
        rates = rate_text(row.dev_wer), rate_text(row.test_wer)
        made.add_row(
            name, density_text(row.density), str(row.epochs), *rates, style="bold" if name == "ticket" else None
        )
    return made


def verdict(found: SourceExperiment, results: Sequence[tuple[str, int, Row]]) -> str:
    """Say in one sentence what the dev WERs tell."""
    ticket = found.rows[-1].dev_wer
    means = {
        kind: statistics.fmean(row.dev_wer for other, _, row in results if other == kind)
        for kind in dict.fromkeys(kind for kind, _, _ in results)
    }
    worse = [f"{named(kind)} ({wer:.2%})" for kind, wer in means.items() if wer > ticket]
    rest = [f"{named(kind)} ({wer:.2%})" for kind, wer in means.items() if not wer > ticket]
    words = [f"better than {', '.join(worse)}"] if worse else []
    words += [f"no better than {', '.join(rest)}"] if rest else []
    once = "one training" if len(results) == len(means) else "a few trainings"
    return f"On dev the ticket, at {ticket:.2%} WER, is {' and '.join(words)}, from {once} each and without intervals."


def named(kind: str) -> str:
    """Return what people call a control."""
    return {
        "random": "random mask",
        "shuffled": "shuffled mask",
        "fresh": "fresh init",
        "sign": "signs only",
        "dense": "dense for the whole budget",
    }[kind]
