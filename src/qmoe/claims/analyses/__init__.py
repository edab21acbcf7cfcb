"""Verdicts over all sound analyses of a study."""
