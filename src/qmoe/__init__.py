"""Quantum routers for mixtures of experts."""
