"""Which functions a circuit can compute: by following Pauli words, as bases, ranks and random frequencies."""
