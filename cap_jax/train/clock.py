"""Waiting for the chunks of a training, with a look at their losses and at the time that they take."""

import time

import numpy as np

from cap_jax.train import metrics_writer
from cap_jax.types import Metrics


class DivergedError(RuntimeError):
  """The loss is no longer a number.

  Attributes:
    step: at which; what: the loss, and of whom where several are trained.
  """

  def __init__(self, what: str, step: int, place: str = ""):
    """`place`: whose windows the batch had, and where the last good state lies."""
    self.what, self.step = what, step
    super().__init__(f"{what} at step {step}{place}; lower the learning rate or look at the data")

  def __reduce__(self) -> tuple:
    return _again, (str(self), self.what, self.step)


def _again(said: str, what: str, step: int) -> DivergedError:
  error = DivergedError(what, step)
  error.args = (said,)
  return error


class Clock:
  """Waits for chunks in their order, checks their losses, and takes the time of each."""

  def __init__(self, first: int, name: str, writer: metrics_writer.MetricsWriter | None = None):
    """
    Args:
      first: steps done before.
      name: of the run, for the writer.
      writer: where the metrics of each chunk go, nowhere without one.
    """
    self.metrics: list[Metrics] = []
    self.times: list[float] = []
    self._done, self._name, self._writer = first, name, writer
    self.resume()

  def go_on(self, done: int, metrics: list[Metrics], times: list[float]) -> None:
    """From chunks that were waited for before the training was stopped."""
    self.metrics, self.times, self._done = metrics, times, done

  def resume(self) -> None:
    self._began = time.perf_counter()

  def launched(self, metrics: Metrics) -> None:
    self.metrics.append(metrics)

  def wait(self, behind: int = 0) -> None:
    """For all chunks but the last `behind`."""
    while len(self.times) < len(self.metrics) - behind:
      chunk = {key: np.asarray(value) for key, value in self.metrics[len(self.times)].items()}
      _check(chunk["loss"], self._done)
      self.times.append(time.perf_counter() - self._began)
      self._done += chunk["loss"].shape[-1]
      if self._writer is not None:
        self._writer.write(self._name, self._done, {key: float(np.mean(value)) for key, value in chunk.items()})
      self.resume()

  @property
  def seconds(self) -> float:
    """Without compiling, which the first chunk may hold and the median chunk does not."""
    return float(np.median(self.times)) * len(self.times)


def _check(loss: np.ndarray, first: int) -> None:
  """Raises:
  DivergedError: a loss, (step,) or (training, step), is no number."""
  lost = np.argwhere(~np.isfinite(loss))
  if lost.size:
    *which, at = lost[0].tolist()
    who = f" of training {which[0]}" if which else ""
    raise DivergedError(f"the loss{who} is {loss[tuple(lost[0])]}", first + at)
