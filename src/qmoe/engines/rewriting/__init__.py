"""How an engine runs circuits that it does not know: by way of others, with plain angles and few read-outs."""

from qmoe.engines.rewriting.rewritten import Abilities, Rewriting, rewriting_for

__all__ = ["Abilities", "Rewriting", "rewriting_for"]
