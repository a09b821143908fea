"""CTC prefix scores: how likely it is that what CTC hears begins with a text (Watanabe et al. 2017, algorithm 2)."""

import torch
from torch import Tensor


class CTCPrefixes:
    """CTC scores of prefixes of one utterance's text, several prefixes at once.

    The recursions of the paper run along time; each is ``r[t] = (r[t-1] + a[t-1]) p[t]``, of which the solution is a
    cumulative sum in the log domain, so that no frame waits for another in Python.

    A state is what is known of H prefixes: (2, H, T + 1) log probabilities that the first t frames spell the
    prefix and end in its last token, or in a blank.

    Args:
        scores: (T, tokens) log probabilities of the frames; blank is 0.
    """

    def __init__(self, scores: Tensor):
        self.scores = scores.double()
        self.sums = torch.cat([self.scores.new_zeros(1, scores.shape[1]), self.scores.cumsum(0)]).T  # (tokens, T + 1)

    @property
    def start(self) -> Tensor:
        """Return the state of the empty prefix alone."""
        token = torch.full_like(self.sums[0], -torch.inf)
        return torch.stack([token, self.sums[0]])[:, None]

    def end(self, state: Tensor) -> Tensor:
        """Return (H,) log probabilities that the whole utterance is the prefix."""
        return state[:, :, -1].logsumexp(0)

    def extend(self, state: Tensor, last: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Append a token to each prefix.

        Args:
            state: of H prefixes.
            last: (H,) their last tokens; 0 for the empty one.
            tokens: (H,) the tokens that come after.

        Returns:
            (H,) log probabilities that the utterance begins with the new prefixes, and their state.
        """
        in_token, in_blank = state
        # after a blank, or after another token, the next frame may be the first of the new one
        before = torch.where((last == tokens)[:, None], in_blank, torch.logaddexp(in_token, in_blank))[:, :-1]
        starts = before + self.scores.T[tokens]  # (H, T): the new token begins in this frame
        now = self._carry(before, tokens)
        blank = self._carry(now[:, :-1], torch.zeros_like(tokens))
        return starts.logsumexp(1), torch.stack([now, blank])

    def _carry(self, entering: Tensor, tokens: Tensor) -> Tensor:
        """Return the (H, T + 1) solution r of r[t] = (r[t-1] + entering[t-1]) p(token, t), r[0] = 0, in logarithms."""
        sums = self.sums[tokens]
        along = (entering - sums[:, :-1]).logcumsumexp(1) + sums[:, 1:]
        return torch.cat([torch.full_like(along[:, :1], -torch.inf), along], 1)
