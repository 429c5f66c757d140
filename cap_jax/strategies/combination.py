"""Combines strategies: parameter transfer, partial freezing, domain adaptation and multi-task learning in one value,

θ⁰ = θ_p^S ⊕ θ_s^S ⊕ θ_r^new,     θ_p frozen,     L = L_t + λ L_s + μ(t) MMD²(f(x_s), f(x_t))
"""

from cap_jax.losses.terms import Term
from cap_jax.strategies.strategy import Stage, Strategy

STRATEGY = Strategy(
  equation="θ_t = {θ_p (frozen), the rest of f and s from the source (trained), θ_r fresh}, L_t + λ L_s + μ MMD²",
  init_from_source=("f", "s=r"),
  stages=(Stage(freeze=("f/embed", "f/layer_0")),),
  loss=(Term("target"), Term("source_task", 0.3), Term("mmd", 0.1, "ramp")),
  learning_rate=5e-3,
  weight_decay=1e-2,
)
