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


def with_decoder(setting: ExperimentSetup, decoder: DictConfig) -> ExperimentSetup:
    """Return the setting with another decoder."""
    config = setting.config.copy()
    config.decoder = decoder
    return replace(setting, config=config)


def load_trained(config: DictConfig, command_keys: Collection[str]) -> tuple[ExperimentSetup, Recogniser, SourceTicket]:
    """Load what ``ticket=`` names: the setting of its round, its recogniser, ready to transcribe, and the ticket.

    Args:
        command_keys: keys of the command, which the round's experiment does not know.

    Raises:
        UserError: no ``ticket``, none that is there, or one whose weights or experiment are not known.
    """
    ticket = load_ticket(config)
    if ticket is None:
        raise UserError("ticket= is missing: name a round's or an experiment's folder, such as ticket=outputs/demo")
    what, source = f"ticket={config.ticket}", ticket.experiment()
    places = {} if source.here else LOCATION_KEYS
    base = relocate(
        source.config, config, what, source.inputs, places=places, leave=("ticket", "decoder", *command_keys)
    )
    base.decoder = config.decoder
    setting = prepare(base, ticket.tokens)
    if len(theirs := source.inputs.get("tokens", "")) and theirs != setting.tokens.key:
        raise UserError(f"{what}: the corpus has other characters now than it was trained with")
    weights = ticket.weights()
    Start(init=weights, source=config.ticket, tokens=ticket.tokens).prepare(setting)  # says what does not fit
    return setting, setting.recogniser(weights).to(setting.device.accelerator).eval(), ticket
