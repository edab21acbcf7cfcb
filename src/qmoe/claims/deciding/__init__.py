"""From paired scores to outcomes: evidence, caveats, correction for multiple comparisons, decisions."""
