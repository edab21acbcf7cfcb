"""How an engine runs circuits that it does not know: by way of others, with plain angles and few read-outs."""

from qmoe.engines.rewriting.measuring import is_linear
from qmoe.engines.rewriting.rewritten import Abilities, Rewriting, rewriting_for

__all__ = ["Abilities", "Rewriting", "is_linear", "rewriting_for"]
