"""Feature transfer,

    θ⁰ = θ_f^S ⊕ θ_r^new,     train θ_r,     L_t(θ) = mean (r(f(x_t; θ_f), x_t; θ_r) − y_t)²

The extractor of the source sees the target's waves as they are; a fresh reconstruction part learns from the few labelled
ones. f is held, so f(x_t; θ_f) is computed once (Yosinski et al. 2014, NeurIPS 27).
"""

from cap_jax.losses import waveform
from cap_jax.transfer.strategy import Strategy

STRATEGY = Strategy(
  equation="θ_t = {θ_f from the source (held), θ_r fresh (trained)}",
  take=("f",),
  hold=("f",),
  make_loss=waveform.make_waveform,
)
