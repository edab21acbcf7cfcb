"""From and to Qiskit, which is imported on use."""
