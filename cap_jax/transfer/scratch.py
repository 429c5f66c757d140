"""No transfer, the baseline of every strategy,

    θ⁰ = θ^new,     train θ,     L(θ) = mean (r(f(x; θ_f), x; θ_r) − y)²

It also trains the source network itself, on the source's data.
"""

from cap_jax.losses import waveform
from cap_jax.transfer.strategy import Strategy

STRATEGY = Strategy(
  equation="θ_t = {θ_f fresh, θ_r fresh (both trained)}",
  take=(),
  hold=(),
  make_loss=waveform.make_waveform,
)
