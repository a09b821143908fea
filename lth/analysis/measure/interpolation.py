"""Networks on the straight line between two trained ones, and what they hear of dev."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from lth.lottery.setup.setting import ExperimentSetup
from lth.training.recogniser import Recogniser
from lth.training.train import transcribe


def between(first: Mapping[str, Tensor], second: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """Return ``(1 - alpha) * first + alpha * second``, normalisations' statistics too; the ends are the networks' bits.

    What is no fraction, such as a count of batches, is the first's.
    """
    if alpha in (0, 1):
        return dict((first, second)[int(alpha)])
    return {
        name: torch.lerp(tensor.float(), second[name].float(), alpha).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in first.items()
    }


def heard(
    setting: ExperimentSetup, first: Mapping[str, Tensor], second: Mapping[str, Tensor], alphas: Sequence[float]
) -> Iterator[tuple[list[dict], list[dict] | None]]:
    """Yield, for every alpha, the transcripts of dev: with the statistics as they are, and with re-estimated ones.

    An average of two networks' weights does not have the average of their statistics, so that those of batch
    normalisation are made anew; see `re_estimate`. None for a model without any.
    """
    for alpha in alphas:
        recogniser = setting.recogniser(between(first, second, alpha))
        plain = transcribe(recogniser, setting.dev_batches(), setting.device)
        again = re_estimate(setting, recogniser)
        yield plain, transcribe(recogniser, setting.dev_batches(), setting.device) if again else None


@torch.no_grad()
def re_estimate(setting: ExperimentSetup, recogniser: Recogniser) -> bool:
    """Batch normalisation's running statistics, made anew from a fixed sample of train, as many utterances as dev.

    Means over batches, each as it is normalised in training, without SpecAugment and dropout (as
    ``torch.optim.swa_utils.update_bn``). In fp32. Returns whether there are any.
    """
    recogniser.to(setting.device.accelerator).eval()
    norms = [module for module in recogniser.model.modules() if isinstance(module, _BatchNorm)]
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    for batch in setting.sample_batches() if norms else ():
        recogniser({k: v.to(recogniser.device) if isinstance(v, Tensor) else v for k, v in batch.items()})
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
        norm.eval()
    return bool(norms)
