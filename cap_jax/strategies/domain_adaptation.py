"""Domain adaptation, without target labels,

    min D(P_s(f(x; θ_s)), P_t(f(x; θ_t)))

    θ⁰ = θ^S,     min L_s(θ) + μ(t) D(P_s(f(x; θ_s)), P_t(f(x; θ_t)))

with one extractor for both domains (θ_s = θ_t, all trained), or separate ones (θ_s and the head frozen, θ_t trained by D alone).
D is a discrepancy of features (`discrepancy`), an adversary (`adversarial`), a discrepancy of their shape without the
pressure level (`alignment`), or one of the spectra of the input. An adaptor ahead of a frozen network minimises the last:

    θ⁰ = θ^S ⊕ θ_a^new,     train θ_a,     min ‖S(x_s) − S(a(x_t; θ_a))‖²

Waveform RMSE [mmHg] in silico, on validation subjects, from a source of healthy subjects; w: source windows weighted by
pressure (`experiments.tune --strategy=domain_adaptation/section --rates=5e-2 --decays=0 --config.scenario=device`, and
so on).

| | population | device | device_population | subject_device | site | clinic |
|---|---|---|---|---|---|---|
| source unchanged | 1.49 | 2.19 | 2.00 | 2.20 | 1.75 | 9.16 |
| fir, w | 1.73 | 1.22 | 1.69 | 2.28 | **1.72** | 9.18 |
| section | 2.63 | **0.76** | **1.38** | 2.29 | 2.42 | 9.30 |
| mmd | 1.89 | 1.99 | 1.90 | 2.37 | | 9.24 |
| mmd, w | 1.68 | 2.01 | 1.93 | 2.38 | | 9.18 |

The section is therefore the choice if all of the target's waves are known to come through one transducer. None of these
variants helps if only the people differ or if each subject has another transducer; the variant `transducer` helps where
there are transducers (docs/experiments.md). `fir` with weights, the default, gains with one and loses little elsewhere.
MMD, CORAL (whatever its weight) and DANN gain little here.

    context     θ_t = θ^S, s from the target's waves: nothing is trained. The source network reads the spectra of a subject and
                of a clinic (`models.context_cnn`) and has learnt over simulated clinics what they mean
"""

import dataclasses

from cap_jax.losses.terms import Term
from cap_jax.strategies.strategy import Stage, Strategy

_SHARED = Strategy(
  equation="min L_s + μ D(P_s(f(x; θ)), P_t(f(x; θ))), no target labels",
  init_from_source=("f", "r"),
  loss=(Term("source"), Term("mmd", 0.1)),
  learning_rate=1e-3,
  weight_decay=1e-2,
)


def _shared(name: str, weight: float) -> Strategy:
  return dataclasses.replace(_SHARED, loss=(Term("source"), Term(name, weight)))


_ADAPTOR = Strategy(
  equation="θ_t = {θ_f, θ_r from the source (frozen), θ_a: spectra aligned}, no target labels",
  init_from_source=("f", "r"),
  stages=(Stage(freeze=("f", "r")),),
  loss=(Term("spectrum"),),
  reweigh=True,
  learning_rate=1e-2,
  weight_decay=0.0,
)
_SEPARATE = Strategy(
  equation="min D(P_s(f(x; θ_s)), P_t(f(x; θ_t))), θ_s and θ_r frozen, no target labels",
  init_from_source=("f", "r"),
  stages=(Stage(freeze=("r",)),),
  loss=(Term("adda"),),
  separate=True,
  learning_rate=2e-4,
  weight_decay=0.0,
)
STRATEGY = dataclasses.replace(_ADAPTOR, adaptor="fir")
VARIANTS = {
  "domain_adaptation/mmd": _SHARED,
  "domain_adaptation/coral": _shared("coral", 30.0),
  "domain_adaptation/dare_gram": _shared("dare_gram", 0.1),
  "domain_adaptation/chordal": _shared("chordal", 0.1),
  "domain_adaptation/sinkhorn": _shared("sinkhorn", 0.05),
  "domain_adaptation/dann": _shared("dann", 0.01),
  "domain_adaptation/adda": _SEPARATE,
  "domain_adaptation/separate_mmd": dataclasses.replace(_SEPARATE, loss=(Term("mmd"),)),
  "domain_adaptation/shape": _shared("shape_mmd", 0.1),
  "domain_adaptation/weighted": dataclasses.replace(_SHARED, reweigh=True),
  "domain_adaptation/mean_teacher": dataclasses.replace(
    _SHARED, loss=(Term("source"), Term("mean_teacher", 0.3, "ramp"))
  ),
  "domain_adaptation/transducer": dataclasses.replace(
    _SHARED,
    equation="min L_s(θ) over source windows with the target's transducers applied, no target labels",
    loss=(Term("source"),),
    transducer=True,
    learning_rate=3e-3,
    weight_decay=0.0,
    optimizer="muon",
  ),
  "domain_adaptation/context": Strategy(
    equation="θ_t = {θ_f, θ_r from the source (frozen)}, context from the target's waves, nothing trained, no target labels",
    init_from_source=("f", "r"),
    stages=(),
    loss=(),
  ),
  "domain_adaptation/section": dataclasses.replace(_ADAPTOR, adaptor="section", reweigh=False, learning_rate=5e-2),
}
