"""Feature transfer,

    θ_t = {θ_f, θ_r},     θ⁰ = θ_f^S ⊕ θ_r^new,     train θ_r,     L_t(θ) = mean (r(f(x_t; θ_f), x_t; θ_r) − y_t)²

The source extractor reads the target's waves unchanged; a fresh head learns from the few labelled ones. f is frozen, so
f(x_t; θ_f) is computed once (Yosinski et al. 2014, NeurIPS 27).

`random` is the control: the same, but θ_f is fresh. What feature transfer gains over it comes from the source.
"""

import dataclasses

from cap_jax.strategies.strategy import Stage, Strategy

STRATEGY = Strategy(
  equation="θ_t = {θ_f from the source (frozen), θ_r fresh (trained)}",
  init_from_source=("f",),
  stages=(Stage(freeze=("f",)),),
  learning_rate=1e-2,
  weight_decay=0.1,
)
VARIANTS = {
  "feature_transfer/released": dataclasses.replace(
    STRATEGY,
    equation="θ_t = {θ_f from the source (frozen, unfrozen at the end), θ_r fresh (trained)}",
    stages=(Stage(freeze=("f",), share=0.7), Stage(share=0.3, rate=0.1)),
  ),
  "feature_transfer/random": dataclasses.replace(
    STRATEGY, equation="θ_t = {θ_f fresh (frozen), θ_r fresh (trained)}", init_from_source=()
  ),
}
