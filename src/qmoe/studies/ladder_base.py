"""The quantum arm that a ladder takes apart, with the sizes that its rungs are matched to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch

from qmoe.circuits import Feature, Gate
from qmoe.circuits.angles.expressions import indices_of
from qmoe.data import make_dataset
from qmoe.errors import ConfigError
from qmoe.routers import QuantumRouter, QuantumRouterSpec
from qmoe.studies.admission.plan import require_model
from qmoe.studies.assembly import Generators, build_mixture, n_trainable
from qmoe.studies.specs.part_models import RouterModel
from qmoe.studies.specs.study import ArmSpec, ModelSpec, Study


@dataclass(frozen=True)
class Base:
    """The quantum arm, with the sizes that the rungs are matched to.

    Attributes:
        arm: the arm.
        router: its router's spec.
        built: the router itself.
        labels: ``"true"`` or ``"random"``.
        n_features: number of features F.
        n_classes: number of classes C.
        n_outputs: outputs O of each expert.
        expert_size: parameters of one expert.
        head_size: parameters of the head.
    """

    arm: ArmSpec
    router: QuantumRouterSpec
    built: QuantumRouter
    labels: str
    n_features: int
    n_classes: int
    n_outputs: int
    expert_size: int
    head_size: int

    @property
    def model(self) -> ModelSpec:
        """The whole model's spec."""
        return self.arm.model

    @property
    def n_experts(self) -> int:
        """Number of experts E."""
        return self.model.n_experts

    @property
    def router_size(self) -> int:
        """Parameters of the router."""
        return n_trainable(self.built)

    @property
    def size(self) -> int:
        """Parameters of the whole mixture."""
        return self.router_size + self.n_experts * self.expert_size + self.head_size

    @property
    def n_qubits(self) -> int:
        """Number of qubits Q, the default resolved."""
        return self.built.circuit.n_qubits

    @property
    def published(self) -> str | None:
        """The name of the published circuit that the router has; None for an encoding and layers."""
        given = self.router.circuit
        return given if given is None or isinstance(given, str) else str(given["name"])

    @property
    def uploads(self) -> int:
        """How often the features are encoded; of a published circuit, the most angles that hold one of them alone."""
        circuit = self.built.circuit
        if circuit.is_template:
            return circuit.template.encoding.uploads
        angles = [angle for op in circuit.operations if isinstance(op, Gate) for angle in op.angles]
        alone = Counter(held[0] for angle in angles if len(held := indices_of([angle], Feature)) == 1)
        return max(alone.values(), default=1)

    @property
    def entangles(self) -> bool:
        """Whether there is an entangler in the circuit."""
        return self.n_qubits > 1 and self.router.n_layers > 0 and self.router.ansatz != "no_entangler"

    def circuit(self, **changes: object) -> ModelSpec:
        """The same model with another circuit."""
        return self.with_router(self.model.router.model_copy(update=changes))

    def with_router(self, router: RouterModel) -> ModelSpec:
        """The same model with another router."""
        return self.model.model_copy(update={"router": router})


def find_base(study: Study) -> Base:
    """The first quantum arm of a study.

    Raises:
        ConfigError: when there is none, or one with a single expert.
    """
    for arm in study.arms:
        router = arm.model.router
        if isinstance(router, QuantumRouterSpec):
            break
    else:
        kinds = ", ".join(f"{arm.name} ({arm.model.router.kind})" for arm in study.arms)
        raise ConfigError(
            f"A ladder takes a quantum router apart, but no arm of {study.name} has one: {kinds}; add such an arm, or drop "
            "ladder."
        )
    if arm.model.n_experts == 1:
        raise ConfigError(
            f"The quantum arm {arm.name!r} has one expert, so its router decides nothing; raise n_experts, or drop ladder."
        )
    dataset = make_dataset(study.data.name, **study.data.options)
    require_model(arm.model, study.data)
    plain = arm.model.model_copy(update={"routing": "input"})
    n_features = study.data.components or dataset.n_features
    unused = Generators(*(torch.Generator() for _ in range(3)))
    mixture = build_mixture(plain, n_features, dataset.n_classes, unused, torch.float32)
    assert isinstance(mixture.router, QuantumRouter)
    return Base(
        arm,
        router,
        mixture.router,
        arm.labels or study.data.labels,
        n_features,
        dataset.n_classes,
        mixture.experts.out_features,
        n_trainable(mixture.experts) // arm.model.n_experts,
        0 if mixture.head is None else n_trainable(mixture.head),
    )
