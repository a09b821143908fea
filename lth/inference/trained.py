"""A trained network in its own setting, to be decoded: what ``ticket=`` names, with the decoder of this command."""

from collections.abc import Collection
from dataclasses import replace

from omegaconf import DictConfig

from lth.errors import UserError
from lth.lottery.setup.find import SourceTicket, load_ticket
from lth.lottery.setup.recorded import LOCATION_KEYS, relocate
from lth.lottery.setup.setting import ExperimentSetup, prepare
from lth.lottery.setup.start import Start
from lth.training.recogniser import Recogniser


def decoding(setting: ExperimentSetup, decoder: DictConfig) -> ExperimentSetup:
    """The setting with another decoder."""
    config = setting.config.copy()
    config.decoder = decoder
    return replace(setting, config=config)


def trained(config: DictConfig, words: Collection[str]) -> tuple[ExperimentSetup, Recogniser, SourceTicket]:
    """The setting that a round was trained in, its recogniser, ready to transcribe, and the round as a ticket.

    Args:
        words: of the command, which the round's experiment does not know.

    Raises:
        UserError: no ``ticket``, none that is there, or one whose weights or experiment are not known.
    """
    ticket = load_ticket(config)
    if ticket is None:
        raise UserError("ticket= is missing: name a round's or an experiment's folder, such as ticket=outputs/demo")
    what, found = f"ticket={config.ticket}", ticket.found()
    places = {} if found.here else LOCATION_KEYS
    base = relocate(found.config, config, what, found.inputs, places=places, leave=("ticket", "decoder", *words))
    base.decoder = config.decoder
    setting = prepare(base, ticket.tokens)
    if len(theirs := found.inputs.get("tokens", "")) and theirs != setting.tokens.key:
        raise UserError(f"{what}: the corpus has other characters now than it was trained with")
    weights = ticket.weights()
    Start(init=weights, source=config.ticket, tokens=ticket.tokens).prepare(setting)  # says what does not fit
    return setting, setting.recogniser(weights).to(setting.machine.accelerator).eval(), ticket
