"""Methods without a network, by name, fitted to pairs of source windows or of labelled target windows."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cap_jax import config
from cap_jax.baselines import arx, individual, mean_wave, ridge, transfer_function, tube_load
from cap_jax.data import batches

Predict = Callable[[batches.Waves | batches.Pairs], np.ndarray]


class Baseline(NamedTuple):
  """A method without a network.

  Attributes:
    fit: (training, validation, windows) → function that predicts (window, time) [mmHg].
    settings: number of settings that are compared on validation subjects.
  """

  fit: Callable[[batches.Pairs, batches.Pairs, config.Windows], Predict]
  settings: int = 1


def _by_window(fit: Callable[..., Any]) -> Callable[[batches.Pairs, batches.Pairs, config.Windows], Predict]:
  """Wraps a fit whose result predicts from arrays of windows, irrespective of their subjects."""

  def fitted(training: batches.Pairs, validation: batches.Pairs, spec: config.Windows) -> Predict:
    fitted_model = fit(training, validation, spec)
    return lambda windows: fitted_model.predict(windows.x_bt)

  return fitted


def _by_subject(fit: Callable[..., Any]) -> Callable[[batches.Pairs, batches.Pairs, config.Windows], Predict]:
  """Wraps a fit whose result reads the windows of each subject together."""
  return lambda training, validation, spec: fit(training, validation, spec).predict


FITTED: dict[str, Baseline] = {
  "mean_wave": Baseline(_by_window(lambda training, _, spec: mean_wave.fit(training, spec.fs_hz))),
  "gtf": Baseline(_by_window(transfer_function.fit), transfer_function.SETTINGS),
  "gtf_arx": Baseline(_by_window(arx.fit), arx.SETTINGS),
  "individual_tf": Baseline(_by_subject(individual.fit), individual.SETTINGS),
  "tube_load": Baseline(_by_window(tube_load.fit)),
  "adaptive_tf": Baseline(_by_subject(tube_load.fit_adaptive), tube_load.ADAPTIVE_SETTINGS),
  "ridge": Baseline(_by_window(ridge.fit), ridge.SETTINGS),
}
