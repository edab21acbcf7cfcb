"""What is compiled: angles, sweeps over states and over Pauli vectors, and the kernels made of them."""
