"""Parameter transfer,

    θ_t = {θ_p, θ_r},     θ⁰ = θ_p^S ⊕ θ_r^new,     θ_p frozen or trained,     L_t(θ) = mean (r(f(x_t; θ_f), x_t; θ_r) − y_t)²

θ_p is any part of the parameters, named by path, as `f/lstm_0`; the architectures of source and target may differ
elsewhere. By default θ_p is the input side of the extractor.
"""

import dataclasses

from cap_jax.strategies.strategy import Stage, Strategy

_TRANSFERRED = ("f/embed", "f/level", "f/layer_0", "f/layer_1")
STRATEGY = Strategy(
  equation="θ_t = {θ_p from the source (frozen), θ_r fresh (trained)}",
  init_from_source=_TRANSFERRED,
  stages=(Stage(freeze=_TRANSFERRED),),
  learning_rate=1e-2,
  weight_decay=1e-2,
)
VARIANTS = {
  "parameter_transfer/trained": dataclasses.replace(
    STRATEGY, equation="θ_t = {θ_p from the source (trained), θ_r fresh (trained)}", stages=(Stage(),)
  ),
}
