"""Multi-task learning over a shared extractor and a head for each task,

    L_total = L_s + λ·L_t,     L_s(θ_f, θ_s) on the source's task,     L_t(θ_f, θ_r) on the aortic wave

    θ⁰ = θ_f^S ⊕ θ_s^S ⊕ θ_r^new,     train all

The tasks of source and target may differ: blood pressure and the aortic wave together (Caruana 1997). λ is fixed, rises
over the training or is learned as an uncertainty; or conflicting gradients are projected (`losses.multi_task`).

If both tasks are the wave, the source can be rehearsed while the target is learnt (Robins 1995). Few labels then do not
overwrite what the network has learnt. λ_s is the evidence that the labelled subjects are of the source's system
(`train.source_evidence`), 1 where they are:

    rehearsal           θ⁰ = θ_f^S ⊕ θ_r^S                 one head for both
    heads               θ⁰ = θ_f^S ⊕ θ_s^S ⊕ θ_r^S         a head each
    transducer          one head, or a head each if the target measures at another site; the source's windows are simulated
                        through the transducers estimated from the target's waves (`transducer_response`)
    transducer_first    as `transducer`, but first without any label and then briefly with labels: a network soon memorises
                        a few subjects
    transducer_heads    as `transducer`, always with a head each
    context             θ⁰ = θ^S, a source network that reads its context (`models.context_cnn`), labels among them; briefly. The
                        simulated clinics are rehearsed with a context of their own
"""

import dataclasses

from cap_jax.losses.terms import Term
from cap_jax.strategies.strategy import Stage, Strategy

STRATEGY = Strategy(
  equation="L_total = L_s(θ_f, θ_s) + λ·L_t(θ_f, θ_r), all trained",
  init_from_source=("f", "s=r"),
  loss=(Term("source_task"), Term("target")),
  learning_rate=5e-3,
  weight_decay=1e-2,
)
_REHEARSAL = dataclasses.replace(
  STRATEGY, equation="L_total = λ_s·L_s(θ_f, θ_r) + λ·L_t(θ_f, θ_r), all from the source and trained", init_from_source=("f", "r"),
  loss=(Term("source"), Term("target")), weigh_source=True, learning_rate=2e-3, optimizer="muon",
)  # fmt: skip
_HEADS = dataclasses.replace(
  _REHEARSAL, equation="L_total = λ_s·L_s(θ_f, θ_s) + λ·L_t(θ_f, θ_r), all from the source and trained",
  init_from_source=("f", "s=r", "r"), loss=STRATEGY.loss,
)  # fmt: skip
_THROUGH_TRANSDUCERS = ", source windows with the target's transducers applied"
_TRANSDUCER = dataclasses.replace(
  _REHEARSAL, equation=_REHEARSAL.equation + _THROUGH_TRANSDUCERS, transducer=True, by_site=True
)
VARIANTS = {
  "multi_task/rehearsal": _REHEARSAL,
  "multi_task/heads": _HEADS,
  "multi_task/transducer": _TRANSDUCER,
  "multi_task/transducer_first": dataclasses.replace(
    _TRANSDUCER,
    equation="λ_s·L_s(θ) + λ·L_t(θ), briefly, after L_s(θ)" + _THROUGH_TRANSDUCERS,
    learning_rate=1e-3,
    stages=(Stage(share=0.5, rate=3.0, without=("target",)), Stage(share=0.5, per_label=6)),
  ),
  "multi_task/transducer_heads": dataclasses.replace(
    _HEADS, equation=_HEADS.equation + _THROUGH_TRANSDUCERS, transducer=True
  ),
  "multi_task/context": dataclasses.replace(
    _REHEARSAL,
    equation="L_total = L_s(θ_f, θ_r) + λ·L_t(θ_f, θ_r), each clinic with its context",
    weigh_source=False,
    learning_rate=5e-4,
  ),
  "multi_task/fresh": dataclasses.replace(STRATEGY, init_from_source=()),
  "multi_task/rising": dataclasses.replace(
    STRATEGY, equation="L_total = L_s + λ(t)·L_t, λ = 2 t", loss=(Term("source_task"), Term("target", 2.0, "rise"))
  ),
  "multi_task/uncertainty": dataclasses.replace(
    STRATEGY, equation="L_total = Σ ½ e^(−u) L + ½ u", combine="uncertainty"
  ),
  "multi_task/pcgrad": dataclasses.replace(
    STRATEGY, equation="L_s + L_t, conflicting gradients projected", combine="pcgrad"
  ),
}
