"""The speed of qmoe beside its peers, in one run on one machine: ``python -m benchmarks --help``.

Nothing here is part of the installed package. The modules, in the order in which a run meets them:

* `sizes`, `problem`: what is computed;
* `contenders`: who computes it, and how each is best used;
* `agreement`, `timing`, `suite`: that all compute the same, how long it takes, and the run as a whole;
* `operations`, `memory`, `first_use`, `machine`: the figures that stand beside the times;
* `trainings`: whole trainings and fits, and steps beside a busy process;
* `imported`: circuits of PennyLane and Qiskit, imported and in their own libraries;
* `record`, `comparison`: what is kept, and what is concluded from it;
* `plots`, `page`: docs/images/bench-*.svg and docs/benchmarks.md, both made from the record alone.
"""
