"""The exceptions a user is meant to read."""


class UserError(Exception):
    """Bad input, said in one sentence that names the file, key or utterance and the remedy.

    The commands print it without a traceback and exit with code 2. A DataLoader hands on what its worker raised
    as the text of the whole traceback; only the sentence at its end is kept.
    """

    def __init__(self, sentence: str = ""):
        if sentence.startswith("Caught ") and "Traceback (most recent call last)" in sentence:
            sentence = sentence.rstrip().splitlines()[-1].partition(": ")[2]
        super().__init__(sentence)


class Infeasible(UserError):
    """A strategy that cannot be played with this model; a search takes note and goes on."""
