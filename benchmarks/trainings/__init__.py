"""Whole trainings beside the steps: what a user waits for.

* `task`: the data, first weights and batch orders that every contender gets;
* `own`, `eager`, `jaxed`: who trains, each in a process of its own;
* `workers`, `neighbour`: those processes, and one that keeps a core busy beside them;
* `child`: what they run;
* `run`, `fits`, `threads`: the measurements;
* `results`: what is kept of them; `text`: how it is shown.
"""
