"""Fine-tuning,

    θ_t = {θ_f, θ_ft},     θ⁰ = θ_f^S ⊕ θ_ft^S,     train θ_ft,     L_t(θ) = mean (r(f(x_t; θ_f), x_t; θ_r) − y_t)²

All parameters come from the source. The amount of target data and the distance between the domains decide which of them
are frozen, θ_f (`freezing.decide`).

    lp_ft      the head first, then all (Kumar et al. 2022, ICLR)
    rates      η_l = η · d^(L − l) for layer l of L, slower towards the input (Howard & Ruder 2018, ACL)
    gradual    f unfrozen in thirds, from the output (same)
    l2_sp      L_t + λ ½‖θ − θ^S‖² (Li et al. 2018, ICML)
    surgical   only the early layers trained, for a shift of the input (Lee et al. 2023, ICLR)
    low_rank   W = W^S + A B (Hu et al. 2022, ICLR)
    context    θ_t = θ^S, nothing is trained: the labelled pairs' responses are context of the clinic that the network reads
               (`models.context_cnn`); in-context learning (Brown et al. 2020, NeurIPS)
"""

import dataclasses

from cap_jax.losses.terms import Term
from cap_jax.strategies.strategy import Stage, Strategy

STRATEGY = Strategy(
  equation="θ_t = {θ_f from the source (frozen), θ_ft from the source (tuned)}, depth by number of labels and domain distance",
  init_from_source=("f", "r"),
  stages=(Stage(freeze=("auto",)),),
  learning_rate=1e-3,
  weight_decay=1e-2,
)
_ALL = dataclasses.replace(STRATEGY, equation="θ_t = {θ_ft from the source (all tuned)}", stages=(Stage(),))
VARIANTS = {
  "fine_tuning/all": _ALL,
  "fine_tuning/head": dataclasses.replace(
    _ALL, equation="θ_t = {θ_f from the source (frozen), θ_r from the source (tuned)}", stages=(Stage(freeze=("f",)),)
  ),
  "fine_tuning/lp_ft": dataclasses.replace(
    _ALL, equation="θ_r tuned, then all", stages=(Stage(freeze=("f",), share=0.4), Stage(share=0.6, rate=0.5))
  ),
  "fine_tuning/rates": dataclasses.replace(_ALL, equation="all tuned, η_l = η d^(L − l)", rate_decay=0.8),
  "fine_tuning/gradual": dataclasses.replace(
    _ALL,
    equation="θ_r tuned, then f unfrozen from its end in thirds",
    stages=(
      Stage(freeze=("f",), share=0.25),
      Stage(freeze=("first:60%",), share=0.25),
      Stage(freeze=("first:30%",), share=0.25),
      Stage(share=0.25),
    ),
  ),
  "fine_tuning/l2_sp": dataclasses.replace(
    _ALL, equation="all tuned, L_t + λ ½‖θ − θ^S‖²", loss=(Term("target"), Term("l2_sp", 1e-2)), weight_decay=0.0
  ),
  "fine_tuning/surgical": dataclasses.replace(
    _ALL, equation="θ_t = {early layers tuned, the rest frozen}", stages=(Stage(freeze=("last:65%",)),)
  ),
  "fine_tuning/context": dataclasses.replace(
    _ALL,
    equation="θ_t = {θ_f, θ_r from the source (frozen)}, context from the target's waves and labels, nothing trained",
    stages=(),
  ),
  "fine_tuning/low_rank": dataclasses.replace(_ALL, equation="W = W^S (frozen) + A B (trained)", low_rank=4),
}
