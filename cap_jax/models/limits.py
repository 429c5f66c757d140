"""What the sizes of windows and networks may be, in a study as in the header of a checkpoint."""

import math

import jax

from cap_jax import config
from cap_jax.models import net as nets
from cap_jax.types import InputError

# far beyond what anyone trains, and little enough to be refused in no time
_MOST = {"layers": 512, "channels": 1 << 14, "head_channels": 1 << 14, "patch": 1 << 14, "kernel": 1 << 12}
_MOST |= {"taps": 1 << 12, "outputs": 1 << 12}
_MOST_SAMPLES = 1 << 20


def check_windows(spec: config.Windows) -> None:
  """Raises:
  InputError: a length or the rate cannot be."""
  numbers = (spec.fs_hz, spec.seconds, spec.hop_s, spec.margin_s)
  known = all(isinstance(value, int | float) and math.isfinite(value) for value in numbers)
  if not known or spec.fs_hz < 60 or spec.seconds * spec.fs_hz > _MOST_SAMPLES:
    raise InputError(f"windows={spec}: needs 60 Hz or more, and {_MOST_SAMPLES} samples at most")
  if spec.hop < 1 or spec.margin < 1 or spec.samples <= 2 * spec.margin + 1:
    raise InputError(f"windows={spec}: needs a hop and a margin, and more than its two margins")


def check_model(field: str, model: config.Model, spec: config.Windows) -> None:
  """Raises:
  InputError: a size of `field`, a model for such windows, cannot be, or a name is in no registry."""
  for name, most in _MOST.items():
    value = getattr(model, name)
    if not isinstance(value, int) or value > most:
      raise InputError(f"{field}.{name}={value}: must be a whole number of {most} at most")
  if min(model.patch, model.channels, model.head_channels) < 1 or model.layers < 0 or model.kernel % 2 == 0:
    raise InputError(f"{field}={model}: sizes must be positive and the kernel odd")
  if model.taps % 2 == 0 or model.taps < 3 or model.outputs < 1:
    raise InputError(f"{field}: taps={model.taps} must be odd and 3 or more, outputs={model.outputs} positive")
  if model.head == "waveform" and not 1 <= model.cosines <= 2 * model.patch:
    raise InputError(f"{field}.cosines={model.cosines}: must be 1 to {2 * model.patch}, two patches")
  try:
    jax.eval_shape(lambda: nets.make_net(model).init(jax.random.key(0), spec.samples))
  except ValueError as error:
    raise InputError(f"{field}: {error}") from error
