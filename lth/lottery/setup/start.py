"""Where an experiment starts: from a fresh init with every weight kept, or from a ticket found elsewhere."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from omegaconf import DictConfig
from torch import Tensor

from lth.errors import UserError
from lth.lottery.setup.find import load_ticket
from lth.lottery.setup.setting import ExperimentSetup
from lth.store.store import tensors_digest
from lth.tickets.mask import Mask

#: What of a ticket goes to where it is taken: (its mask, its init, its trained weights).
TRANSFERS = {
    "ticket": (True, True, False),
    "mask": (True, False, False),
    "init": (False, True, False),
    "weights": (True, False, True),
}
REMEDY = "choose the model= and features= that the ticket was found with"


@dataclass(frozen=True)
class Start:
    """The mask of round 0 and the init; None where the model's own initialiser and all weights are meant.

    Args:
        source: where the ticket was found.
        uses: the W&B artifacts that it came from.
        tokens: key of what the ticket's model puts out, where that is known.
        origin: ``source``, ``control`` and ``transfer``, for the experiment's folder.
        rewinds_to: digest of the ticket's init, where that init is not taken.
        epoch: at whose end the init was taken, and after which training goes on: with late rewinding.
        trained: the init is trained weights, worth scoring before they are trained further.
        change: a control's change of the setting's init and of the mask.
    """

    init: Mapping[str, Tensor] | None = None
    mask: Mask | None = None
    source: str = ""
    uses: tuple[str, ...] = ()
    tokens: str | None = None
    origin: Mapping = field(default_factory=dict)
    rewinds_to: str = ""
    epoch: int = 0
    trained: bool = False
    change: Callable[[ExperimentSetup, Mask], tuple[ExperimentSetup, Mask]] | None = None

    @property
    def density(self) -> float:
        return 1.0 if self.mask is None else self.mask.density

    def prepare(self, setting: ExperimentSetup) -> tuple[ExperimentSetup, Mask]:
        """Return the setting with this start's init, and the mask of round 0.

        Where the tokens are others, the output layer is the setting's own, and dense.

        Raises:
            UserError: the ticket is of another model; the first layer that differs is named.
        """
        dense, new = setting.dense(), self.new_output(setting)
        if self.init is not None:
            init = {**self.init, **{name: setting.init[name] for name in new}}
            _check_same("init", setting.init, init, self.source)
            setting = replace(setting, init=init)
        mask = dense
        if self.mask is not None:
            mask = Mask({**self.mask, **{name: dense[name] for name in new if name in dense}})
            _check_same("mask", dense, mask, self.source)
        return self.change(setting, mask) if self.change else (setting, mask)

    def new_output(self, setting: ExperimentSetup) -> list[str]:
        """Name the parameters of the output layer, if it has to be new: the ticket's has other tokens."""
        theirs, names = self.init or self.mask, setting.output()
        if theirs is None:
            return []
        same = setting.tokens.key == self.tokens
        if self.tokens is None:  # nobody knows: it fits or it does not
            same = all(theirs[name].shape == setting.init[name].shape for name in names if name in theirs)
        return [] if same else names

    def describe(self, setting: ExperimentSetup) -> str:
        """Say in a few words what is transferred; empty for a start from nothing."""
        if not self.origin:
            return ""
        control, transfer = self.origin.get("control"), self.origin.get("transfer")
        words = f"control={control} of {self.source}" if control else f"transfer={transfer} from {self.source}"
        if new := self.new_output(setting):
            words += f"; the output layer ({', '.join(new)}) is new and dense, for {len(setting.tokens)} tokens"
        if self.rewinds_to == tensors_digest(setting.init):
            words += "; its own init is the ticket's, for the seed and the model are: give another seed="
        return words


def start_of(config: DictConfig) -> Start:
    """Make the start that ``ticket`` and ``transfer`` describe.

    Raises:
        UserError: there is no such ticket or way to transfer it, it is damaged, or its init cannot be found.
    """
    mode = config.get("transfer") or "ticket"
    if mode not in TRANSFERS:
        raise UserError(f"transfer={mode} is not valid: it must be one of {', '.join(TRANSFERS)}")
    ticket = load_ticket(config)
    if ticket is None:
        if mode != "ticket":
            raise UserError(f"transfer={mode} needs the ticket to be transferred: ticket=")
        return Start()
    mask, init, weights = TRANSFERS[mode]
    return Start(
        init=ticket.weights() if weights else ticket.init if init else None,
        mask=ticket.mask if mask else None,
        source=ticket.source,
        uses=ticket.uses,
        tokens=ticket.tokens,
        origin={"source": dict(ticket.about), "control": None, "transfer": mode},
        rewinds_to="" if init or weights else tensors_digest(ticket.init),
        epoch=ticket.epoch if init else 0,
        trained=weights,
    )


def _check_same(what: str, ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], source: str) -> None:
    for name, tensor in ours.items():
        if name not in theirs:
            raise UserError(f"ticket {source}: its {what} has no {name}, which the model has; {REMEDY}")
        if theirs[name].shape != tensor.shape:
            shapes = f"{tuple(theirs[name].shape)} in its {what} and {tuple(tensor.shape)} in the model"
            raise UserError(f"ticket {source}: {name} has shape {shapes}; {REMEDY}")
    if further := [name for name in theirs if name not in ours]:
        raise UserError(f"ticket {source}: its {what} has {further[0]}, which the model has not; {REMEDY}")
