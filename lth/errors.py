"""The exceptions a user is meant to read."""


class UserError(Exception):
    """Bad input, said in one sentence that names the file, key or utterance and the remedy.

    The commands print it without a traceback and exit with code 2.
    """


class Infeasible(UserError):
    """A strategy that cannot be played with this model; a search takes note and goes on."""
