"""Does a layer of a torch model do anything? It is replaced, everything is retrained, and the judge of claims decides."""

from qmoe.auditing.audited import AuditResult
from qmoe.auditing.auditor import audit
from qmoe.auditing.circuit_forms import as_quantum_layer
from qmoe.auditing.replacements import ARMS

__all__ = ["ARMS", "AuditResult", "as_quantum_layer", "audit"]
