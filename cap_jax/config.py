"""All default settings, as frozen dataclasses of plain values: checkpoints store them; they are static arguments."""

import dataclasses
import math
import numbers

from cap_jax.types import InputError, suggest

CHUNK = 50  # steps of training that a compiled program does at a time
# Largest sizes: far beyond practical networks, and small enough that a check is fast.
_MOST = {"layers": 512, "channels": 1 << 14, "head_channels": 1 << 14, "patch": 1 << 14, "kernel": 1 << 12}
_MOST |= {"taps": 1 << 12, "outputs": 1 << 12}
LOSSES = ("mse", "rmse")
MOST_WINDOWS_A_STEP = 1 << 16
LARGEST_SEED = (1 << 32) - 1
_MOST_STEPS = 10**9
_MOST_SAMPLES = 1 << 15  # of a window: 4 minutes at 125 Hz, for which a packaged network takes 0.8 GB


def is_whole(value: object) -> bool:
  """Returns whether a value is a whole number, of Python or NumPy.

  Args:
    value: any value.
  """
  return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_real(value: object) -> bool:
  """Returns whether a value is a finite real number, of Python or NumPy.

  Args:
    value: any value.
  """
  return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def check_steps(name: str, steps: int) -> None:
  """Checks a number of training steps.

  Args:
    name: of the setting, for the message.
    steps: its value.

  Raises:
    InputError: `steps` is not a positive multiple of `CHUNK`, or more than any training takes.
  """
  if not is_whole(steps) or steps < CHUNK or steps % CHUNK:
    raise InputError(f"{name}={steps!r}: must be a positive multiple of {CHUNK}")
  if steps > _MOST_STEPS:
    raise InputError(f"{name}={steps}: must be at most {_MOST_STEPS}")


def check_whole(name: str, value: int, least: int, most: int) -> None:
  """Checks a whole number.

  Args:
    name: of the setting, for the message.
    value: its value.
    least: the smallest that is allowed.
    most: the largest.

  Raises:
    InputError: `value` is no whole number, or out of range.
  """
  if not is_whole(value) or not least <= value <= most:
    raise InputError(f"{name}={value!r}: must be a whole number from {least} to {most}")


@dataclasses.dataclass(frozen=True)
class Windows:
  """Windows of a recording.

  Attributes:
    fs_hz: sampling rate [Hz].
    seconds: length of a window [s].
    hop_s: time from the start of a window to that of the next [s].
    margin_s: time at each end of a window that does not count in errors and losses [s].
  """

  fs_hz: float = 125.0
  seconds: float = 4.0
  hop_s: float = 1.0
  margin_s: float = 0.25

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      InputError: a length or the rate is impossible.
    """
    settings = (self.fs_hz, self.seconds, self.hop_s, self.margin_s)
    finite = all(is_real(value) for value in settings)
    if not finite or self.fs_hz < 60 or self.seconds * self.fs_hz > _MOST_SAMPLES:
      raise InputError(f"{self}: needs at least 60 Hz and at most {_MOST_SAMPLES} samples")
    if self.hop < 1 or self.margin < 1 or self.samples <= 2 * self.margin + 1:
      raise InputError(f"{self}: hop and margin must be at least one sample, and the window longer than two margins")

  @property
  def samples(self) -> int:
    """The number of samples of a window."""
    return round(self.seconds * self.fs_hz)

  @property
  def hop(self) -> int:
    """The number of samples from the start of a window to that of the next."""
    return round(self.hop_s * self.fs_hz)

  @property
  def margin(self) -> int:
    """The number of samples at each end of a window that do not count."""
    return round(self.margin_s * self.fs_hz)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conditioning:
  """Conditioning of a record before it is cut into windows.

  Attributes:
    fs_hz: sampling rate [Hz] of the result.
    fill_s: gaps up to this long are bridged by a straight line.
    drop: faults whose beats are removed, names in `beat_quality.FAULTS`; the others are only counted.
    synchronise: whether to remove the constant delay of a monitor.
    transit_s: range of lags behind the first pressure that pulse transit explains; other lags are the monitor's.
    repeat_s: a record of one beat is repeated to this length at least.
  """

  fs_hz: float = 125.0
  fill_s: float = 0.1
  drop: tuple[str, ...] = ("flat", "clipped", "damped", "flush", "motion")
  synchronise: bool = True
  transit_s: tuple[float, float] = (-0.1, 0.25)
  repeat_s: float = 12.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
  """Calibration of a peripheral wave from the reading of a cuff or a catheter; the same in training and at inference.

  Attributes:
    kind: "none", "sbp_dbp", "map_dbp", or "invasive", which is MAP and DBP of a catheter.
    form: rule for the MAP of a cuff that reports none, name in `calibration.FORMS`.
    sbp_bias_mmhg, sbp_sd_mmhg, dbp_bias_mmhg, dbp_sd_mmhg: error added to a cuff's reading, drawn once per subject.
    seed: seed of these draws.
  """

  kind: str = "none"
  form: str = "0.4"
  sbp_bias_mmhg: float = 0.0
  sbp_sd_mmhg: float = 0.0
  dbp_bias_mmhg: float = 0.0
  dbp_sd_mmhg: float = 0.0
  seed: int = 0

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      InputError: an error or the seed is impossible.
    """
    for name in ("sbp_bias_mmhg", "sbp_sd_mmhg", "dbp_bias_mmhg", "dbp_sd_mmhg"):
      value = getattr(self, name)
      if not abs(value) <= 50 or (name.endswith("sd_mmhg") and value < 0):
        raise InputError(
          f"Calibration.{name}={value}: must be at most 50 mmHg in magnitude, and an SD must be 0 or more"
        )
    check_whole("Calibration.seed", self.seed, 0, LARGEST_SEED)


@dataclasses.dataclass(frozen=True)
class Signals:
  """Input and output of a network.

  Attributes:
    site: peripheral site.
    reference: site of the reference wave.
    windows: windows of both.
    calibration: calibration of the peripheral wave.
  """

  site: str = "radial"
  reference: str = "aortic_root"
  windows: Windows = Windows()
  calibration: Calibration = Calibration()

  @property
  def unitless(self) -> bool:
    """Whether the input has no unit, as a PPG that is not scaled to a reading."""
    return self.site.endswith("_ppg") and self.calibration.kind == "none"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
  """The network.

  Attributes:
    extractor, head, adaptor: names of f, r and a in the registries of `models.net`.
    patch: samples per token; the window is a whole number of patches. The `tcn` has a token a sample.
    channels: width of the extractor.
    layers: number of its layers.
    kernel: length of its kernels in tokens, odd.
    head_channels: hidden size of the head.
    cosines: size of the basis in which the head `waveform` writes a wave, per two patches.
    outputs: number of outputs of the head `numbers`.
    taps: number of taps of the adaptor `fir`, odd.
    covariates: names of the covariates that the extractor reads besides the wave.
    precision: precision of the computation, name in `models.net.PRECISIONS`; parameters are float32.
  """

  extractor: str = "token_cnn"
  head: str = "waveform"
  adaptor: str = "none"
  patch: int = 10
  channels: int = 64
  layers: int = 4
  kernel: int = 3
  head_channels: int = 64
  cosines: int = 8
  outputs: int = 3
  taps: int = 17
  covariates: tuple[str, ...] = ()
  precision: str = "float32"

  @property
  def reads_context(self) -> bool:
    """Whether the extractor reads the context of a measurement besides the wave and its covariates."""
    return self.extractor == "context_cnn"

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      InputError: a size is impossible.
    """
    for name, most in _MOST.items():
      value = getattr(self, name)
      if not isinstance(value, int) or value > most:
        raise InputError(f"Model.{name}={value}: must be a whole number, at most {most}")
    if min(self.patch, self.channels, self.head_channels) < 1 or self.layers < 0 or self.kernel % 2 == 0:
      raise InputError(f"{self}: sizes must be positive and the kernel size odd")
    if self.taps % 2 == 0 or self.taps < 3 or self.outputs < 1:
      raise InputError(f"Model: taps={self.taps} must be odd and 3 or more, outputs={self.outputs} must be positive")
    if self.head == "waveform" and not 1 <= self.cosines <= 2 * self.patch:
      raise InputError(f"Model.cosines={self.cosines}: must be 1 to {2 * self.patch}, twice the patch")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
  """Optimisation: linear warm-up over a fraction of the steps, then a cosine to zero.

  Attributes:
    steps: number of steps, a multiple of 50.
    batch: windows per step.
    learning_rate: highest learning rate.
    weight_decay: weight decay of the optimizer.
    warmup: fraction of the steps.
    clip: largest global norm of the gradient.
    seed: seed of the initial parameters and of the order of windows.
    optimizer: name in `train.optimizer.OPTIMIZERS`.
    loss: error of a reconstructed wave, in `LOSSES`: mean square, or mean over windows of the RMSE of each (`losses.waveform`).
  """

  steps: int = 3000
  batch: int = 32
  learning_rate: float = 1e-2
  weight_decay: float = 1e-4
  warmup: float = 0.05
  clip: float = 1.0
  seed: int = 0
  optimizer: str = "adam"
  loss: str = "mse"

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      InputError: a setting is impossible.
    """
    check_steps("Training.steps", self.steps)
    check_whole("Training.batch", self.batch, 1, MOST_WINDOWS_A_STEP)
    check_whole("Training.seed", self.seed, 0, LARGEST_SEED)
    rates_valid = self.learning_rate > 0 and self.weight_decay >= 0 and self.clip > 0
    if not rates_valid or not 0 < self.warmup < 1:
      raise InputError(f"{self}: learning_rate and clip must be positive, weight_decay 0 or more, warmup in (0, 1)")
    if self.loss not in LOSSES:
      raise InputError(f"Training.loss={self.loss}: {suggest(self.loss, LOSSES)}")
