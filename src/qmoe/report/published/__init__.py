"""Results that others published on a data set, beside those of studies on the same rows and split."""
