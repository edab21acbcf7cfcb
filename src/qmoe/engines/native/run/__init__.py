"""Running kernels on tensors: calls, threads, whole simulations, and large states in blocks."""
