"""Training of the source network itself: θ_s = θ^new, train θ_s, L_s of the source's task on the source's windows."""

from cap_jax.losses.terms import Term
from cap_jax.strategies.strategy import Strategy

STRATEGY = Strategy(equation="θ_s = {θ_f fresh, θ_r fresh (both trained)}", loss=(Term("source"),))
