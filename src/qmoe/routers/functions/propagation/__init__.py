"""Pauli words followed backwards through a circuit (the Heisenberg picture), on the light cone of what is measured.

A read-out is a sum of Pauli words. Going backwards, a gate turns a word into a sum of words, and a rotation by a feature
about P multiplies every word that anticommutes with P by ``cos x`` and adds its product with P, times ``sin x``. Gates that
do not touch a word leave it alone, so only those on its light cone count. In the state ``|0>`` words of I and Z are worth 1
and all others 0; what is left is a sum of products of sines and cosines.

`letters` has what a gate does to words, `moves` the moves of a circuit and its light cones. The words of a cone are held as
a dense table (`word_tables`) where it fits, else as bit masks (`masks`). Both follow values at given weights, or only which
words are reached for some weights. `reached` and `valued` have the results.
"""
