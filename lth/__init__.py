"""Winning lottery tickets for speech recognition."""

#: Raised by hand whenever a change to the code can change what a round computes; it enters every round's key.
RESULT_VERSION = 1
