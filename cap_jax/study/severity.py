"""Effect of measurement artefacts of rising severity on a reconstruction: errors, gaps, and wrong samples that are not flagged.

One artefact of one severity is added to the exact record of a virtual subject. The reconstructed wave is compared with the subject's
aortic pressure wherever it is not a gap.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from cap_jax import clinics
from cap_jax.arteries import sensors
from cap_jax.data import recordings, signal_names
from cap_jax.data.sources import virtual
from cap_jax.inference import reconstruct
from cap_jax.train import checkpoint
from cap_jax.types import InputError

WRONG_MMHG = 10.0
_CLIP_SHARES = (0.05, 0.1, 0.2, 0.4)


@dataclasses.dataclass(frozen=True)
class Artefact:
  """An artefact of a measuring chain.

  Attributes:
    make: (key, (time,) pressure [mmHg], rate [Hz], severity) → the pressure with the artefact.
    unit: of the severities.
    severities: from mild to severe.
  """

  make: Callable[[jax.Array, jax.Array, float, float], jax.Array]
  unit: str
  severities: tuple[float, ...]


def _clip(key: jax.Array, p_t: jax.Array, fs_hz: float, share: float) -> jax.Array:
  """Clips the top of each pulse by a share of the record's range."""
  del key, fs_hz
  return jnp.minimum(p_t, p_t.max() - share * jnp.ptp(p_t))


ARTEFACTS: Mapping[str, Artefact] = {
  "noise": Artefact(lambda k, p, fs, s: p + s * jax.random.normal(k, p.shape), "mmHg", (0.5, 1, 2, 4, 8)),
  "motion": Artefact(lambda k, p, fs, s: sensors.move(k, p, fs, 6.0, s), "mmHg, 6 per minute", (2, 5, 10, 20, 40)),
  "drift": Artefact(sensors.drift, "mmHg (SD)", (1, 2, 5, 10, 20)),
  "flush": Artefact(sensors.flush, "per minute", (0.5, 1, 2, 4)),
  "damped for 10 s": Artefact(sensors.damp, "per minute", (0.5, 1, 2)),
  "low-pass": Artefact(lambda k, p, fs, s: sensors.one_pole(p, fs, jnp.asarray(s)), "Hz", (20, 10, 5, 3, 2)),
  "resonance": Artefact(
    lambda k, p, fs, s: sensors.second_order(p, fs, jnp.asarray(s), jnp.asarray(0.2)),
    "Hz, damping 0.2",
    (40, 25, 15, 10, 7),
  ),
  "clipped": Artefact(_clip, "of the range", _CLIP_SHARES),
  "pause": Artefact(sensors.pause, "of 2 s per minute", (1, 2, 4)),
  "lost samples": Artefact(sensors.drop, "of 0.2 s per minute", (2, 6, 20)),
  "jitter": Artefact(sensors.jitter, "s (SD)", (0.001, 0.002, 0.004, 0.008)),
  "steps": Artefact(lambda k, p, fs, s: jnp.round(p / s) * s, "mmHg", (1, 2, 4, 8)),
  "gain": Artefact(lambda k, p, fs, s: p * (1 + s), "relative error", (0.02, 0.05, 0.1, 0.2)),
  "zero": Artefact(lambda k, p, fs, s: p + s, "mmHg offset", (2, 5, 10, 20)),
}
NONE = "none"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
  """Reconstruction with an artefact of one severity, as means over subjects.

  Attributes:
    rmse_mmhg: of the samples that are reconstructed [mmHg].
    reconstructed: share of the record that is reconstructed.
    wrong: share of the record that is reconstructed with an error above `WRONG_MMHG`.
    ood_fraction: share of windows out of distribution.
    reasons: reason of a gap → seconds per subject.
  """

  artefact: str
  severity: float
  unit: str
  rmse_mmhg: float
  reconstructed: float
  wrong: float
  ood_fraction: float
  reasons: Mapping[str, float]


def curve(trained: checkpoint.Checkpoint, subjects: int, seconds: float, seed: int) -> Iterator[Point]:
  """Evaluates all artefacts at all severities, and no artefact, on the same virtual subjects.

  Args:
    trained: the network.
    subjects: number of them.
    seconds: of record for each.
    seed: of the cohort and of the artefacts.

  Yields:
    A point for each artefact and severity.

  Raises:
    InputError: the network reads a wave that the cohort does not have, or covariates.
  """
  if trained.site not in virtual.SITES or trained.site == signal_names.PPG or trained.model.covariates:
    raise InputError(
      f"the checkpoint reads {trained.site} with covariates {trained.model.covariates}; use one that reads only a pressure"
    )
  clinic = clinics.SOURCES["exact"].clinic("exact", subjects, seconds, seed=seed)
  cohort = virtual.draw(clinic, (trained.site,))
  cases = [(NONE, 0.0), *((name, s) for name, one in ARTEFACTS.items() for s in one.severities)]
  for name, severity in tqdm.tqdm(cases, desc="artefacts", unit="", leave=False):
    yield _point(trained, cohort, name, severity, seed)


def _point(
  trained: checkpoint.Checkpoint, subjects: list[recordings.Recording], name: str, severity: float, seed: int
) -> Point:
  """Evaluates one artefact at one severity."""
  rows: list[tuple[float, float, float, float]] = []
  reasons: dict[str, float] = {}
  for index, clean in enumerate(subjects):
    p_t = np.asarray(clean.signals[trained.site])
    if name != NONE:
      key = jax.random.fold_in(jax.random.key(seed), index)
      p_t = np.asarray(ARTEFACTS[name].make(key, jnp.asarray(p_t), clean.fs_hz, severity))
    record = dataclasses.replace(clean, signals={trained.site: p_t}, units={trained.site: "mmHg"})
    try:
      reconstruction = reconstruct.reconstruct(trained, record)
    except InputError:  # the record is rejected as a whole
      rows.append((float("nan"), 0.0, 0.0, float("nan")))
      continue
    off_t = reconstruction.aortic_mmhg - clean.signals["aortic_root"]
    available = np.isfinite(off_t)
    rmse = float(np.sqrt(np.square(off_t[available]).mean())) if available.any() else float("nan")
    rows.append(
      (
        rmse,
        float(available.mean()),
        float((np.abs(off_t[available]) > WRONG_MMHG).sum() / off_t.size),
        reconstruction.ood_fraction,
      )
    )
    for gap in reconstruction.gaps:
      reasons[gap.reason] = reasons.get(gap.reason, 0.0) + (gap.end_s - gap.start_s) / len(subjects)
  table = np.array(rows)
  measured = table[np.isfinite(table[:, 0])]
  rmse, ood_fraction = measured[:, [0, 3]].mean(0).tolist() if len(measured) else (float("nan"),) * 2
  reconstructed_frac, wrong_frac = float(table[:, 1].mean()), float(table[:, 2].mean())
  unit = ARTEFACTS[name].unit if name != NONE else ""
  return Point(
    artefact=name,
    severity=severity,
    unit=unit,
    rmse_mmhg=rmse,
    reconstructed=reconstructed_frac,
    wrong=wrong_frac,
    ood_fraction=ood_fraction,
    reasons=reasons,
  )
