"""Simulates thousands of clinics: groups of people who resemble each other, each behind the lines of its clinic.

A network that is to tell a line from an artery has to meet clinics in which the people differ and the lines do not, and the
reverse. So a clinic draws its subjects from a slice of all people, ordered by a random projection of what describes them: old
or young, stiff or soft, fast or slow, or a mixture. The waves are exact; a line is a filter in front of them,

    x = g (h ∗ p) + z + noise,     H(f) = 1/(1 − (f/f_n)² + 2jζ f/f_n) · 1/(1 + j f/f_c)

with a natural frequency f_n, a damping ζ and for some a monitor's low-pass f_c, gain g and zero z (`clinics.Lines`).

Half of the clinics have labelled subjects.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tqdm

from cap_jax import clinics, config
from cap_jax.data import batches, recordings

_PROJECTIONS = 64  # orders of the people
_SPARSE = 0.15  # share of the properties in every other order
_LEAST_SLICE = 0.05  # of the people, on a logarithmic scale up to all
_NOISELESS = 0.1  # share
_LABELLED, _MOST_LABELLED = 0.5, 25  # share of the clinics with labels; their labelled subjects, from 1


class People(NamedTuple):
  """Exact records.

  Attributes:
    x_st, y_st: (subject, time) peripheral and reference waves.
    subject_s: (subject,) names.
    property_sq: (subject, property) what describes them: parameters of the model, mean and pulse of the wave.
    covariates: name → (subject,) what a network may read.
  """

  x_st: np.ndarray
  y_st: np.ndarray
  subject_s: np.ndarray
  property_sq: np.ndarray
  covariates: dict[str, np.ndarray]

  def at(self, rows: np.ndarray) -> "People":
    """Returns some of them."""
    return People(
      self.x_st[rows], self.y_st[rows], self.subject_s[rows], self.property_sq[rows],
      {name: value_s[rows] for name, value_s in self.covariates.items()},
    )  # fmt: skip


def people(cohort: Sequence[recordings.Recording], site: str, reference: str, covariates: Sequence[str]) -> People:
  """Returns records of one length as arrays.

  Args:
    cohort: the records, measured exactly.
    site, reference: their waves.
    covariates: names of those that a network may read.
  """
  x_st, y_st = (np.stack([one.signals[name] for one in cohort]).astype(np.float32) for name in (site, reference))
  names = [name for name in cohort[0].covariates if "cuff" not in name]
  known_sq = np.array([[one.covariates[name] for name in names] for one in cohort])
  return People(
    x_st,
    y_st,
    np.array([one.subject for one in cohort]),
    np.column_stack([x_st.mean(1), np.ptp(x_st, axis=1), known_sq]),
    {name: np.array([one.covariates[name] for one in cohort], np.float32) for name in covariates},
  )


def simulate(
  pools: Sequence[People],
  mixture: clinics.ClinicMixture,
  spec: config.Windows,
  count: int,
  each: int,
  seed: int,
) -> batches.ClinicPairs:
  """Simulates windows of many clinics.

  Args:
    pools: people of each of the mixture's setups.
    mixture: how a clinic is made of them.
    spec: rate and length of the windows.
    count: number of clinics.
    each: windows of a subject, each from another part of its record.
    seed: of all draws.

  Returns:
    The windows, with their clinics. A subject may be in several.
  """
  rng = np.random.default_rng(seed)
  orders = [_orders(pool.property_sq, rng) for pool in pools]
  share_b, blend_b = zip(*mixture.blends, strict=True)
  parts: list[batches.ClinicPairs] = []
  for number in tqdm.tqdm(range(count), desc="simulated clinics", unit="clinic", leave=False):
    blend = np.array(blend_b[rng.choice(len(blend_b), p=np.array(share_b) / sum(share_b))])
    subjects = round(float(np.exp(rng.uniform(0, np.log(mixture.lines.most_subjects)))))
    pool_s = rng.choice(len(pools), subjects, p=blend / blend.sum())
    width = np.exp(rng.uniform(np.log(_LEAST_SLICE), 0))
    place_s, order = rng.uniform(0, 1 - width) + width * rng.random(subjects), rng.integers(_PROJECTIONS)
    chosen = [
      pool.at(orders[k][order, np.unique((place_s[pool_s == k] * len(pool.x_st)).astype(int))])
      for k, pool in enumerate(pools)
    ]
    group = _joined(chosen)
    labelled_s = _labelled(len(group.x_st), rng)
    x_st = through(group.x_st, spec.fs_hz, mixture.lines, rng)
    parts.append(_windows(group._replace(x_st=x_st), labelled_s, number, spec, each, rng))
  return batches.ClinicPairs(
    np.concatenate([one.x_bt for one in parts]),
    np.concatenate([one.y_bt for one in parts]),
    np.concatenate([one.subject_b for one in parts]),
    {name: np.concatenate([one.covariates[name] for one in parts]) for name in parts[0].covariates},
    membership=batches.Membership(
      *(np.concatenate(part) for part in zip(*(one.membership for one in parts), strict=True))
    ),
  )


def _joined(groups: Sequence[People]) -> People:
  """Returns all the people of some groups."""
  return People(
    np.concatenate([one.x_st for one in groups]),
    np.concatenate([one.y_st for one in groups]),
    np.concatenate([one.subject_s for one in groups]),
    np.concatenate([one.property_sq for one in groups]),
    {name: np.concatenate([one.covariates[name] for one in groups]) for name in groups[0].covariates},
  )


def _orders(property_sq: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """Returns orders of people by random projections of their properties, (projection, subject)."""
  z_sq = np.nan_to_num(property_sq - property_sq.mean(0)) / (property_sq.std(0) + 1e-6)
  z_sq, orders = np.clip(z_sq, -3, 3), []
  for number in range(_PROJECTIONS):
    direction_q = rng.normal(size=z_sq.shape[1])
    if number % 2:
      direction_q *= rng.random(direction_q.size) < _SPARSE
    direction_q[rng.integers(direction_q.size)] += 2
    orders.append(np.argsort(z_sq @ direction_q))
  return np.stack(orders)


def through(x_st: np.ndarray, fs_hz: float, lines: clinics.Lines, rng: np.random.Generator) -> np.ndarray:
  """Returns the waves of one clinic as its lines record them, (subject, time).

  Args:
    x_st: (subject, time) exact waves.
    fs_hz: sampling rate.
    lines: the kind of the lines.
    rng: draws them.
  """
  subjects, time = x_st.shape
  kind = rng.choice(3, p=[lines.plain_share, lines.shared_share, 1 - lines.plain_share - lines.shared_share])
  drawn = 1 if kind == 1 else subjects
  if kind:
    frequency_f = np.fft.rfftfreq(time, 1 / fs_hz)
    natural_s1 = _log_uniform(rng, lines.natural_hz, drawn) if lines.natural_hz else np.inf
    r_sf, damping_s1 = frequency_f / natural_s1, _log_uniform(rng, lines.damping, drawn)
    pole_s1 = np.where(rng.random((drawn, 1)) < lines.pole_share, _log_uniform(rng, lines.pole_hz, drawn), np.inf)
    response_sf = 1 / (1 - r_sf**2 + 2j * damping_s1 * r_sf) / (1 + 1j * frequency_f / pole_s1)
    x_st = np.fft.irfft(np.fft.rfft(x_st, axis=1) * response_sf, time, axis=1)
  gain_s1, zero_s1 = (rng.uniform(low, high, (drawn, 1)) for low, high in (lines.gain, lines.zero))
  levels = 1 if rng.random() < 0.5 else subjects
  noise_s1 = _log_uniform(rng, lines.noise, levels) * (rng.random((levels, 1)) >= _NOISELESS)
  return (gain_s1 * x_st + zero_s1 + noise_s1 * rng.normal(size=x_st.shape)).astype(np.float32)


def _log_uniform(rng: np.random.Generator, bounds: clinics.Range, count: int) -> np.ndarray:
  low, high = np.log(bounds).tolist()
  return np.exp(rng.uniform(low, high, (count, 1)))


def _labelled(subjects: int, rng: np.random.Generator) -> np.ndarray:
  """Returns which subjects of a clinic are labelled, (subject,), 1 or 0."""
  labels = round(float(np.exp(rng.uniform(0, np.log(min(subjects, _MOST_LABELLED))))))
  return (rng.permutation(subjects) < labels * (rng.random() < _LABELLED)).astype(np.float32)


def _windows(
  group: People, labelled_s: np.ndarray, number: int, spec: config.Windows, each: int, rng: np.random.Generator
) -> batches.ClinicPairs:
  """Cuts `each` windows from every record of a clinic, one at a random place of each part of it."""
  edge, row_b = round(clinics.EDGE_S * spec.fs_hz), np.repeat(np.arange(len(group.x_st)), each)
  part_b = np.tile(np.arange(each), len(group.x_st))
  room = group.x_st.shape[1] - spec.samples - 2 * edge + 1
  start_b = edge + ((part_b + rng.random(len(row_b))) / each * room).astype(int)
  time_bt = start_b[:, None] + np.arange(spec.samples)
  covariates = {name: value_s[row_b] for name, value_s in group.covariates.items()}
  return batches.ClinicPairs(
    group.x_st[row_b[:, None], time_bt], group.y_st[row_b[:, None], time_bt], group.subject_s[row_b], covariates,
    membership=batches.Membership(np.full(len(row_b), number, np.float32), labelled_s[row_b]),
  )  # fmt: skip
