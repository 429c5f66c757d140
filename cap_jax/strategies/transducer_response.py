"""The fluid-filled transducers of a clinic, estimated from its unlabelled waves, and a simulation of them on the
source's waves.

A transducer of natural frequency f₀ and damping ζ multiplies a spectrum by 1/|1 − r² + 2jζr|², r = f/f₀. Other people
have other spectra too, but these differ in the ways in which the people of the source differ among themselves. With the
mean log spectrum S_i of a subject, μ and Σ the mean and the covariance of the source's subjects, and Δ(c) the effect of
transducer c on the source's spectra,

    d²(c) = (S̄_t − μ − Δ(c))ᵀ (Σ + εI)⁻¹ (S̄_t − μ − Δ(c))

and the clinic has transducers if h (d²(none) − min d²(c)) is beyond the chance gain of two free parameters, χ²₂, and
more than what remains, h min d²(c): a transducer that explains less of the difference than other people or another
system would have to explain is none. The
inverse of a covariance of n subjects at k frequencies is too large by 1/h, h = (n − k − 2)/(n − 1) (Hartlap et al.
2007, Astron. Astrophys. 464, 399). A source of fewer than 1.25 k subjects cannot distinguish a transducer from people,
so none is accepted. The transducers follow from

    S_i = μ + m + Δ(c_i) + e_i,     e_i ~ N(0, Σ + ρI),     m ~ N(0, Σ + εI),     c_i ~ π

where m is the difference of the clinic's people and π the frequency of each transducer. EM computes π as the
nonparametric maximum likelihood of a mixing distribution (Laird 1978, J. Am. Stat. Assoc. 73, 805). It is one
transducer if the clinic has one, and a spread if each subject has another.

In this file the axis l is a transducer and the axis q a second frequency.
"""

import dataclasses

import numpy as np

from cap_jax.data import signal_names

NATURAL_HZ = tuple(np.geomspace(5.0, 40.0, 25).round(2).tolist())
DAMPING = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8)
CHANCE = 9.21  # 99th percentile of χ²₂
_HIGHEST_HZ = 20.0
_NOISE = (0.36, 0.48)  # of the sampling rate: 45 to 60 Hz at 125, where waves have no power
_FLOOR = 1e-3
_JITTER = 0.01  # ε
_RIDGE = 1.0  # ρ
_ROUNDS = 100
_LEAST_SHARE = 1e-3
_LEAST = 1.25
_MOST = 2000  # windows at a time
_LEAD_S = 1.0
_BEAT_S = (0.35, 1.7)
_ALIKE_S = 0.25


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class TransducerMixture:
  """The transducers of a clinic.

  Attributes:
    natural_hz, damping: (transducer,); infinite and 1 for no transducer.
    share: (transducer,) share of the subjects; sums to one.
    noise: SD of the noise added after the transducer, in the unit of the windows.
    gain: h (d²(none) − min d²(c)), whether significant or not; NaN if no test was made.
    remaining: h min d²(c); NaN if no test was made.
    no_test_because: why no test was made.
  """

  natural_hz: np.ndarray
  damping: np.ndarray
  share: np.ndarray
  noise: float
  gain: float
  remaining: float = float("nan")
  no_test_because: str = ""

  @property
  def has_transducers(self) -> bool:
    """Whether the clinic has transducers."""
    return bool(np.isfinite(self.natural_hz).any())

  def __str__(self) -> str:
    if self.no_test_because:
      return f"no test for transducers: {self.no_test_because}"
    if not self.has_transducers:
      least = f"less than {CHANCE}" if self.gain < CHANCE else f"of a difference of {self.gain + self.remaining:.1f}"
      return f"no transducer detected in the target's spectra (χ² gain {self.gain:.1f}, {least})"
    there = np.isfinite(self.natural_hz)
    share = self.share[there] / self.share[there].sum()
    f, z = (float(share @ value[there]) for value in (self.natural_hz, self.damping))
    sd = float(np.sqrt(share @ np.square(self.natural_hz[there] - f)))
    some = "" if there.all() else f", in {100 * self.share[there].sum():.0f} % of the subjects"
    return f"transducers at {f:.1f} Hz (SD {sd:.1f}), damping {z:.2f}{some} (χ² gain {self.gain:.1f})"


def none(gain: float = float("nan"), remaining: float = float("nan"), no_test_because: str = "") -> TransducerMixture:
  """Returns no transducer.

  Args:
    gain: the gain, which was too small.
    remaining: the difference that the best transducer leaves.
    no_test_because: why no test was made.
  """
  return TransducerMixture(
    natural_hz=np.array([np.inf]),
    damping=np.ones(1),
    share=np.ones(1),
    noise=0.0,
    gain=gain,
    remaining=remaining,
    no_test_because=no_test_because,
  )


def response(frequency_hz: np.ndarray, natural_hz: np.ndarray, damping: np.ndarray) -> np.ndarray:
  """Returns the complex response 1/(1 − r² + 2jζr), (transducer, frequency).

  Args:
    frequency_hz: (frequency,).
    natural_hz, damping: (transducer,).
  """
  r = frequency_hz[None, :] / natural_hz[:, None]
  return 1 / (1 - np.square(r) + 2j * damping[:, None] * r)


def _power(x_bt: np.ndarray) -> np.ndarray:
  """Returns the power under a Hann window, (window, frequency); white noise has its variance at all frequencies."""
  hann = np.hanning(x_bt.shape[1]).astype(np.float32)
  return np.square(np.abs(np.fft.rfft((x_bt - x_bt.mean(1, keepdims=True)) * hann, axis=1))) / np.square(hann).sum()


def _by_subject(s_bk: np.ndarray, subject_b: np.ndarray) -> np.ndarray:
  """Returns means over the windows of each subject, (subject, frequency)."""
  _, number_b = np.unique(subject_b, return_inverse=True)
  sums = np.zeros((number_b.max() + 1, s_bk.shape[1]))
  np.add.at(sums, number_b, s_bk)
  return sums / np.bincount(number_b)[:, None]


def _quadratic(r_lk: np.ndarray, precision: np.ndarray) -> np.ndarray:
  """Returns rᵀ P r, (transducer,)."""
  return np.einsum("lk,kq,lq->l", r_lk, precision, r_lk)


def _mixture_weights(s_sk: np.ndarray, delta_lk: np.ndarray, covariance: np.ndarray) -> np.ndarray:
  """Returns π (transducer,) for subjects' spectra less the source's mean."""
  count, size = s_sk.shape
  precision = np.linalg.inv(covariance + _RIDGE * np.eye(size))
  prior = np.linalg.inv(covariance + _JITTER * np.eye(size))
  share, m = np.full(len(delta_lk), 1 / len(delta_lk)), np.zeros(size)
  own = _quadratic(delta_lk, precision)
  for _ in range(_ROUNDS):
    log_sl = np.log(share + 1e-12)[None] + (s_sk - m) @ precision @ delta_lk.T - 0.5 * own[None]
    weight_sl = np.exp(log_sl - log_sl.max(1, keepdims=True))
    weight_sl /= weight_sl.sum(1, keepdims=True)
    share = weight_sl.mean(0)
    m = np.linalg.solve(count * precision + prior, precision @ (s_sk - weight_sl @ delta_lk).sum(0))
  return share


def _changes(power_bk: np.ndarray, gain_lk: np.ndarray, noise: float) -> np.ndarray:
  """Returns Δ (transducer, frequency) of the mean log spectrum of windows of this power."""
  before = np.log(power_bk + _FLOOR)
  return np.stack([(np.log(gain * power_bk + noise + _FLOOR) - before).mean(0) for gain in gain_lk])


def fit(
  source_bt: np.ndarray, source_b: np.ndarray, target_bt: np.ndarray, target_b: np.ndarray, fs_hz: float, site: str
) -> TransducerMixture:
  """Fits the transducers of a clinic.

  Args:
    source_bt, target_bt: (window, time) scaled windows.
    source_b, target_b: (window,) subject names.
    fs_hz: sampling rate.
    site: where the target measures. A PPG has no fluid-filled transducer, and its slow response would be mistaken for
      one.
  """
  if site == signal_names.PPG:
    return none(no_test_because="a PPG has no fluid-filled transducer")
  frequency_hz = np.fft.rfftfreq(source_bt.shape[1], 1 / fs_hz)
  low = slice(2, int(np.searchsorted(frequency_hz, _HIGHEST_HZ)) + 1)
  power_s, power_t = _power(source_bt), _power(target_bt)
  # the median of exponentially distributed powers is ln 2 of the mean
  high = slice(*(round(share * source_bt.shape[1]) for share in _NOISE))
  noise = float(np.median(power_t[:, high])) / np.log(2)
  natural, damping = (a.ravel() for a in np.meshgrid(NATURAL_HZ, DAMPING, indexing="ij"))
  rows = np.linspace(0, len(power_s) - 1, min(len(power_s), _MOST)).astype(int)
  gain_lk = np.square(np.abs(response(frequency_hz[low], natural, damping)))
  delta_lk = _changes(power_s[rows, low], gain_lk, noise)
  s_sk = _by_subject(np.log(power_s[:, low] + _FLOOR), source_b)
  t_sk = _by_subject(np.log(power_t[:, low] + _FLOOR), target_b) - s_sk.mean(0)
  subjects, size = s_sk.shape
  if subjects < _LEAST * size:
    return none(
      no_test_because=f"{subjects} source subjects are too few to distinguish transducers from differences between "
      f"subjects; pass {int(np.ceil(_LEAST * size))} or more"
    )
  covariance = np.cov(s_sk.T)
  precision = np.linalg.inv((1 + 1 / len(t_sk)) * covariance + _JITTER * np.eye(len(covariance)))
  apart = t_sk.mean(0)[None]
  correction = (subjects - size - 2) / (subjects - 1)
  remaining = correction * float(_quadratic(apart - delta_lk, precision).min())
  gain = correction * float(_quadratic(apart, precision)[0]) - remaining
  if gain < max(CHANCE, remaining):
    return none(gain, remaining)
  share = _mixture_weights(t_sk, np.concatenate([np.zeros_like(delta_lk[:1]), delta_lk]), covariance)
  likely = share > _LEAST_SHARE
  natural, damping = np.append(np.inf, natural)[likely], np.append(1.0, damping)[likely]
  return TransducerMixture(
    natural_hz=natural,
    damping=damping,
    share=share[likely] / share[likely].sum(),
    noise=float(np.sqrt(noise)),
    gain=gain,
    remaining=remaining,
  )


def _beat(x_bt: np.ndarray, fs_hz: float) -> np.ndarray:
  """Returns the lag in samples at which a window is most like its beginning, (window,)."""
  width = round(_ALIKE_S * fs_hz)
  first, last = (round(s * fs_hz) for s in _BEAT_S)
  lags = np.arange(first, last)
  misfit = [np.square(x_bt[:, lag : lag + width] - x_bt[:, :width]).sum(1) for lag in lags]
  return np.asarray(lags[np.stack(misfit).argmin(0)])


def apply(transducers: TransducerMixture, x_bt: np.ndarray, fs_hz: float, seed: int) -> np.ndarray:
  """Simulates windows as the clinic would have recorded them, each through one of its transducers.

  The signal before a window is assumed to equal that of one beat later, so that the transducer does not start from
  rest.

  Args:
    transducers: those of the clinic.
    x_bt: (window, time) windows.
    fs_hz: sampling rate.
    seed: draws a transducer for each window, and the noise.
  """
  if not transducers.has_transducers:
    return x_bt
  rng = np.random.default_rng(seed)
  count, time = x_bt.shape
  lead = round(_LEAD_S * fs_hz)
  chosen = np.asarray(rng.choice(len(transducers.share), count, p=transducers.share))
  frequency_hz = np.fft.rfftfreq(lead + time, 1 / fs_hz)
  response_lk = response(frequency_hz, transducers.natural_hz, transducers.damping).astype(np.complex64)
  before = np.arange(-lead, 0)[None] % _beat(x_bt, fs_hz)[:, None]
  out = np.empty_like(x_bt)
  for rows in np.array_split(np.arange(count), max(count // _MOST, 1)):
    longer = np.concatenate([np.take_along_axis(x_bt[rows], before[rows], 1), x_bt[rows]], axis=1)
    recorded = np.fft.irfft(np.fft.rfft(longer, axis=1) * response_lk[chosen[rows]], lead + time, axis=1)
    out[rows] = recorded[:, lead:] + transducers.noise * rng.standard_normal((len(rows), time))
  return out
