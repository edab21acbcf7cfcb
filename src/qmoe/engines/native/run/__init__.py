"""Running kernels on tensors: calls, threads, circuits made ready, and large states in blocks."""
