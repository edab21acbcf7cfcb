"""Running trials: stacks, worker processes, and the runner that stores what they give."""
