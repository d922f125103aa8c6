"""Adam with a cosine schedule, separate rates for head and body, and a moving average."""

import dataclasses
from typing import Any

import keras

_WARM_UP = 0.05
"""Share of all steps in which the learning rate rises."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rates:
    """How far a step goes.

    Attributes:
        highest: learning rate at the end of the warm-up, for all layers but the head.
        head_factor: the head learns so many times as fast.
        weight_decay: decoupled decay (Loshchilov and Hutter 2019) of kernels; 0 is none.
        average: so many epochs the exponential moving average of the weights that learn reaches
            back (Polyak and Juditsky 1992); 0 is none.
    """

    highest: float
    head_factor: float = 1.0
    weight_decay: float = 0.0
    average: float = 0.0


class SeparateRates(keras.optimizers.Adam):  # type: ignore[misc]
    """Adam whose steps are scaled for some variables.

    Args:
        factors: by the path of a variable; 1 for those that are not named.
        options: what :class:`keras.optimizers.Adam` takes.
    """

    def __init__(self, factors: dict[str, float], **options: Any) -> None:
        super().__init__(**options)
        self._by_path = factors
        self._factors: list[float] = []

    def build(self, variables: Any) -> None:
        """Learn in which order the variables come."""
        if not self.built:
            self._factors = [self._by_path.get(variable.path, 1.0) for variable in variables]
        super().build(variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable with its own rate."""
        factor = self._factors[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * factor)


def make_optimizer(
    rates: Rates, head: keras.layers.Layer | None, *, epochs: int, steps: int
) -> keras.optimizers.Optimizer:
    """Return an optimizer that warms up, then falls along a cosine to zero.

    Args:
        rates: how far a step goes.
        head: the layer that learns with :attr:`Rates.head_factor`.
        epochs: after which the rate is zero (Loshchilov and Hutter 2017).
        steps: an epoch.
    """
    total_steps = epochs * steps
    warm_up = max(1, round(total_steps * _WARM_UP))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, total_steps - warm_up), warmup_target=rates.highest, warmup_steps=warm_up
    )
    weights = [] if head is None else head.trainable_weights
    factors = {weight.path: rates.head_factor for weight in weights}
    optimizer = SeparateRates(
        factors,
        learning_rate=schedule,
        weight_decay=rates.weight_decay or None,
        use_ema=bool(rates.average),
        # Told in epochs, it is right for few steps as for many.
        ema_momentum=max(0.0, 1 - 1 / (rates.average * steps)) if rates.average else 0.0,
    )
    if rates.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
