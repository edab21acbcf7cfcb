"""Sums of many products of sines and cosines in compiled code: the logits of twins, and their gradients."""
