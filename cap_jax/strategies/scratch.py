"""No transfer, the baseline of every strategy,

θ⁰ = θ^new,     train θ,     L(θ) = mean (r(f(x; θ_f), x; θ_r) − y)²
"""

from cap_jax.strategies.strategy import Strategy

STRATEGY = Strategy(
  equation="θ_t = {θ_f fresh, θ_r fresh (both trained)}",
  learning_rate=5e-3,
  weight_decay=0.1,
)
