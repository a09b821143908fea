"""Winning lottery tickets for speech recognition."""
