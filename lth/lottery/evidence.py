"""What a criterion wants to know beside the weights, made by running the model: see `lth.tickets.criterion`.

The data is a fixed part of the train split, with the noise of the first epoch where training is noisy, without
SpecAugment and dropout, in fp32. All is deterministic given the experiment's seed.
"""

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lth.errors import UserError
from lth.lottery.setup.setting import ExperimentSetup
from lth.models.flow import flow_gradients
from lth.models.norms import InputNorms
from lth.tickets.criterion import Criterion
from lth.tickets.mask import Mask
from lth.tickets.rewind import rewind
from lth.training.recogniser import Recogniser


def gather(
    setting: ExperimentSetup, criterion: Criterion, weights: Mapping[str, Tensor], mask: Mask
) -> dict[str, Tensor]:
    """Compute the evidence that ``criterion`` needs, by parameter.

    Args:
        weights: what it is scored at; pruned ones are zero whatever they are here.

    Raises:
        UserError: the loss has no gradient there, or there is a part in the model that is not known here.
    """
    masked = rewind({name: tensor.detach().cpu() for name, tensor in weights.items()}, mask)
    try:
        match criterion.needs:
            case "gradients":
                return gradients(setting, masked, mask, criterion.utterances, init=criterion.scored_at == "init")
            case "norms":
                return norms(setting, masked, mask, criterion.utterances)
            case "flow":
                with torch.device("meta"):
                    model = setting.model()
                return flow_gradients(model, masked, list(mask), setting.features.bins)
    except ValueError as error:
        raise UserError(f"strategy.criterion: {error}") from error
    return {}


def gradients(
    setting: ExperimentSetup,
    weights: dict[str, Tensor],
    names: Iterable[str],
    utterances: int | None = None,
    *,
    init: bool,
) -> dict[str, Tensor]:
    """Compute the gradients of the mean training loss over the utterances.

    Args:
        init: the weights are untrained, so that the running statistics of normalisations mean nothing: those of
            each batch are taken instead, as in training.

    Raises:
        ValueError: there is no gradient of a parameter, or it is not a number.
    """
    recogniser = _recogniser(setting, weights)
    recogniser.train()  # cuDNN has no gradients of recurrent layers in evaluation
    for module in recogniser.model.modules():
        if isinstance(module, nn.Dropout) or (isinstance(module, _BatchNorm) and not init):
            module.eval()
    parameters, total = dict(recogniser.model.named_parameters()), 0
    for batch in _batches(setting, utterances, recogniser):
        total += len(batch["ids"])
        encoded, lengths = recogniser(batch)
        (recogniser.loss(encoded, lengths, batch) * len(batch["ids"])).backward()
    found = {}
    for name in names:
        gradient = parameters[name].grad
        if gradient is None:
            raise ValueError(f"the loss has no gradient of {name}.")
        if not gradient.isfinite().all():
            raise ValueError(f"the gradient of {name} is not a number at these weights.")
        found[name] = gradient.cpu() / total
    return found


@torch.no_grad()
def norms(
    setting: ExperimentSetup, weights: dict[str, Tensor], names: Iterable[str], utterances: int | None = None
) -> dict[str, Tensor]:
    """Compute the 2-norm, over all real frames, of the feature that each weight multiplies.

    To be broadcast over a parameter's outputs.

    Raises:
        ValueError: a parameter whose inputs are not known.
    """
    recogniser = _recogniser(setting, weights).eval()
    with InputNorms(recogniser.model) as inputs:
        for batch in _batches(setting, utterances, recogniser):
            encoded, lengths = recogniser(batch)
            recogniser.loss(encoded, lengths, batch)  # some parts work on the transcript only
    found = inputs.norms()
    if missing := next((name for name in names if name not in found), None):
        raise ValueError(f"what {missing} weighs is not known.")
    return {name: found[name].cpu() for name in names}


def _recogniser(setting: ExperimentSetup, weights: dict[str, Tensor]) -> Recogniser:
    recogniser = setting.recogniser(weights)
    recogniser.augment = None
    return recogniser.to(setting.device.accelerator)


def _batches(setting: ExperimentSetup, utterances: int | None, recogniser: Recogniser) -> Iterator[dict]:
    """The sample's batches, where the recogniser is."""
    for batch in setting.sample_batches(utterances):
        yield {k: v.to(recogniser.device) if isinstance(v, Tensor) else v for k, v in batch.items()}
