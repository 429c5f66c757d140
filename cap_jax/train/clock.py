"""Waits for the chunks of a training, checks their losses and measures their time."""

import time
from typing import Any

import numpy as np

from cap_jax.train import metrics_writer
from cap_jax.types import Metrics


class DivergedError(RuntimeError):
  """The loss is NaN or infinite.

  Attributes:
    what: the loss, and its training where several run.
    step: the step at which it happened.
  """

  def __init__(self, what: str, step: int, place: str = ""):
    """Initialises the error.

    Args:
      what: the loss, and its training where several run.
      step: the step at which it happened.
      place: subjects of the batch, and the path of the last good state.
    """
    self.what, self.step = what, step
    super().__init__(f"{what} at step {step}{place}; lower the learning rate or check the data")

  def __reduce__(self) -> tuple[Any, ...]:
    return _unpickle, (str(self), self.what, self.step)


def _unpickle(message: str, what: str, step: int) -> DivergedError:
  error = DivergedError(what, step)
  error.args = (message,)
  return error


class Clock:
  """Waits for chunks in their order, checks their losses and times each."""

  def __init__(
    self, first: int, name: str, writer: metrics_writer.MetricsWriter | None = None, first_training: int = 0
  ):
    """Starts the clock.

    Args:
      first: steps done before.
      name: name of the run, for the writer.
      writer: where the metrics of each chunk go; nowhere without one.
      first_training: number of the first of several trainings.
    """
    self.metrics: list[Metrics] = []
    self.times: list[float] = []
    self._done, self._name, self._writer, self._first_training = first, name, writer, first_training
    self.resume()

  def go_on(self, done: int, metrics: list[Metrics], times: list[float]) -> None:
    """Continues from chunks that were waited for before the training was stopped.

    Args:
      done: steps done.
      metrics: metrics of these chunks.
      times: seconds of each chunk.
    """
    self.metrics, self.times, self._done = metrics, times, done

  def resume(self) -> None:
    """Restarts the time of the current chunk."""
    self._began = time.perf_counter()

  def launched(self, metrics: Metrics) -> None:
    """Adds a chunk that was dispatched to the device."""
    self.metrics.append(metrics)

  def wait(self, behind: int = 0) -> None:
    """Waits for all chunks but the last `behind`."""
    while len(self.times) < len(self.metrics) - behind:
      chunk = {key: np.asarray(value) for key, value in self.metrics[len(self.times)].items()}
      _check(chunk["loss"], self._done, self._first_training)
      self.times.append(time.perf_counter() - self._began)
      self._done += chunk["loss"].shape[-1]
      if self._writer is not None:
        self._writer.write(self._name, self._done, {key: float(np.mean(value)) for key, value in chunk.items()})
      self.resume()

  @property
  def seconds(self) -> float:
    """The time of all chunks, estimated from the median chunk: the first one may include the compilation."""
    return float(np.median(self.times)) * len(self.times)


def _check(loss: np.ndarray, first: int, first_training: int) -> None:
  """Checks the losses of a chunk, (step,) or (training, step).

  Raises:
    DivergedError: a loss is NaN or infinite.
  """
  non_finite = np.argwhere(~np.isfinite(loss))
  if non_finite.size:
    *which, at = non_finite[0].tolist()
    who = f" of training {first_training + which[0]}" if which else ""
    raise DivergedError(f"the loss{who} is {loss[tuple(non_finite[0])]}", first + at)
