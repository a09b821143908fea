"""Beam search over CTC by the package ctcdecode, where a user has it."""

from pathlib import Path

import torch
from torch import Tensor, nn

from lth.decoding.language import LanguageModel
from lth.decoding.lexicon import space_of
from lth.decoding.options import check
from lth.errors import UserError
from lth.speech.tokens import Tokens

MISSING = (
    "decoder=ctcdecode needs the package ctcdecode, which is not installed: `pip install ctcdecode` builds it from "
    "source; decoder=beam does the same with what is installed"
)


class CTCDecode:
    """The decoder of the reference systems, ``decoder=ctcdecode`` (Hannun et al. 2014); in brackets its own names.

    Args:
        tokens: of the model's output, with a space among them if there is a language model.
        family: the kind of model.
        width: texts that are kept from frame to frame (beam_width).
        tokens_tried: the likeliest tokens of a frame that are tried (cutoff_top_n).
        lm, alpha, beta: a KenLM model, the weight of its natural log probabilities, and a bonus for each word.
        processes: that decode (num_processes); None: as many as torch has threads.

    Raises:
        UserError: ctcdecode is not installed, or the language model is damaged.
        ValueError: an option makes no sense, or there is a language model for tokens without a space.
    """

    families: tuple[str, ...] = ("ctc",)

    def __init__(
        self,
        tokens: Tokens,
        family: str,
        *,
        width: int = 100,
        tokens_tried: int = 40,
        lm: str | None = None,
        alpha: float = 0.5,
        beta: float = 0.0,
        processes: int | None = None,
    ):
        check(width=width, tokens_tried=tokens_tried, lm=lm, alpha=alpha, beta=beta, processes=processes)
        try:
            from ctcdecode import CTCBeamDecoder  # pyright: ignore - the optional package, not this module
        except ImportError:
            raise UserError(MISSING) from None
        if lm and space_of(tokens) is None:
            raise ValueError("lm is of words, which ctcdecode cannot tell without a space among the tokens")
        if lm:
            LanguageModel(lm)  # says what is wrong with the file
        self.tokens = tokens
        self.decoder = CTCBeamDecoder(
            ["_", *tokens.symbols],  # it takes the blank's name from here and the space by its own
            model_path=str(Path(lm).expanduser()) if lm else None,
            alpha=alpha,
            beta=beta,
            cutoff_top_n=tokens_tried,
            beam_width=width,
            num_processes=processes or torch.get_num_threads(),
            blank_id=0,
            log_probs_input=True,
        )

    @torch.no_grad()
    def __call__(self, model: nn.Module, logits: Tensor, lengths: Tensor) -> list[str]:
        """Return the texts of B utterances from the (B, T', tokens) logits of ``model`` and their (B,) lengths."""
        results, _, _, sizes = self.decoder.decode(logits.float().log_softmax(-1).cpu(), lengths.cpu())
        return [self.tokens.decode(best[0][: size[0]].tolist()) for best, size in zip(results, sizes, strict=True)]
