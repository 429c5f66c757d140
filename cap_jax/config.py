"""Every default, once. Frozen dataclasses, plain values: they travel in checkpoints and hash as static arguments."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Windows:
  """Windows of a recording: length and hop; `margin_s` at each end counts in no error."""

  fs_hz: float = 125.0
  seconds: float = 4.0
  hop_s: float = 1.0
  margin_s: float = 0.25

  @property
  def samples(self) -> int:
    return round(self.seconds * self.fs_hz)

  @property
  def hop(self) -> int:
    return round(self.hop_s * self.fs_hz)

  @property
  def margin(self) -> int:
    return round(self.margin_s * self.fs_hz)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conditioning:
  """What is done to a record before it is cut into windows.

  fs_hz: rate of the result.
  fill_s: gaps up to this long are bridged by a straight line.
  drop: faults for which a beat is taken out, names in `beat_quality.FAULTS`; the others are counted only.
  synchronise: whether a constant delay of a monitor is taken out.
  transit_s: lags of a signal behind the first pressure that a pulse on its way may have; one outside is the monitor's.
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
  """How a peripheral wave gets its pressures from a reading of a cuff or a catheter; the same in training and at inference.

  kind: "none", "sbp_dbp", "map_dbp", or "invasive", which is MAP and DBP of a catheter.
  form: MAP of a cuff that gives none, name in `calibration.FORMS`.
  sbp_bias_mmhg, sbp_sd_mmhg, dbp_bias_mmhg, dbp_sd_mmhg: error put on top of a cuff's reading, drawn once a subject.
  seed: of these draws.
  """

  kind: str = "none"
  form: str = "0.4"
  sbp_bias_mmhg: float = 0.0
  sbp_sd_mmhg: float = 0.0
  dbp_bias_mmhg: float = 0.0
  dbp_sd_mmhg: float = 0.0
  seed: int = 0


@dataclasses.dataclass(frozen=True)
class Signals:
  """What a network reads and gives: the peripheral site, the site of the reference wave, the windows of both, and how the peripheral
  wave is calibrated."""

  site: str = "radial"
  reference: str = "aortic_root"
  windows: Windows = Windows()
  calibration: Calibration = Calibration()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
  """The network. `extractor`, `head`, `adaptor` name f, r, a in the registries of `models.net`.

  patch: samples per token; the window is a whole number of patches. The `tcn` has a token a sample.
  cosines: of the basis in which the head `waveform` writes a wave, per two patches.
  outputs: of the head `numbers`.
  taps: of the adaptor `fir`, odd.
  covariates: names of those that the extractor takes besides the wave.
  precision: of the computation, name in `models.net.PRECISIONS`; parameters are float32.
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
  """Optimisation: linear warm-up over a share of the steps, then a cosine to zero.

  optimizer: name in `train.optimizer.OPTIMIZERS`.
  """

  steps: int = 3000
  batch: int = 32
  learning_rate: float = 1e-2
  weight_decay: float = 1e-4
  warmup: float = 0.05
  clip: float = 1.0
  seed: int = 0
  optimizer: str = "adam"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
  """A comparison of methods: a source task on a large clinic, a target clinic, few labelled target subjects.

  Attributes:
    source: the source clinic, name in `clinics.SOURCES`.
    source_network: the network of the source: "train" trains one, "pretrained" is that of the package, anything else is the folder of
      a checkpoint.
    source_data, target_data: folders of prepared stores that stand in for the source's or the target's clinic.
    task: what the source network learns, name in `tasks.TASKS`.
    scenario: the target clinic, name in `clinics.SCENARIOS`.
    scenarios: the target clinics of a whole study, one after the other; `scenario` alone if empty.
    target_split: file of a split of the target's store, instead of its own.
    test_part: part of that split that is tested.
    site: the peripheral site.
    reference: the wave that is sought, the aortic root's but where another can be measured.
    n_target: numbers of labelled target subjects; 0 is without labels.
    seeds: each draws its own labelled subjects and initial parameters.
    strategies: names in `transfer.STRATEGIES`, compared at every n_target that they can use.
    baselines: names in `methods.BASELINES`, compared with them.
    folds: 1: one draw of test subjects. 2 or more: each labelled, validation or test subject is tested in one of so many folds.
      0: one fold a subject, who is left out.
    rate_factors: on the learning rate of whatever is trained on the target; with more than one, validation subjects choose, at the
      first seed, for each method, clinic and n_target alike.
    step_factors: on the steps of what begins with nothing and learns on labelled subjects alone, chosen likewise: its best length is
      not that of what begins with a source network.
    source_subjects, source_seconds: size of the source cohort, without `validation_subjects`.
    labelled_subjects: pool from which the labelled ones are drawn; the largest `n_target` at least.
    unlabelled_subjects: of the target, whose peripheral waves alone are used; of a store at most so many.
    validation_subjects: of source and of target, for the choice of hyper-parameters; a store has its own.
    test_subjects: of the target; a store has its own.
    target_seconds: of record per target subject; a store has its own.
    model, target_model: networks of source and target. An empty extractor of the target's is the source's whole model.
    pretrain: training of the source network.
    steps, batch: of every strategy alike. Rates belong to the strategy.
    calibration: of the peripheral waves of both.
    custom: strategy → field → value, fields of `transfer.strategy.Strategy` changed for this study.
  """

  source: str = "healthy"
  source_network: str = "train"
  task: str = "waveform"
  scenario: str = "device_population"
  scenarios: tuple[str, ...] = ()
  source_data: str = ""
  target_data: str = ""
  target_split: str = ""
  test_part: str = "test"
  site: str = "radial"
  reference: str = "aortic_root"
  n_target: tuple[int, ...] = (0, 1, 5, 20)
  seeds: tuple[int, ...] = (0,)
  strategies: tuple[str, ...] = (
    "scratch",
    "feature_transfer",
    "fine_tuning",
    "parameter_transfer",
    "domain_adaptation",
    "domain_adaptation/section",
    "multi_task",
  )
  baselines: tuple[str, ...] = (
    "peripheral",
    "npma",
    "mean_wave_target",
    "gtf_source",
    "gtf_target",
    "individual_tf_source",
    "source",
    "source_affine",
  )
  folds: int = 1
  rate_factors: tuple[float, ...] = (1.0,)
  step_factors: tuple[float, ...] = (1.0,)
  source_subjects: int = 1200
  source_seconds: float = 16.0
  labelled_subjects: int = 40
  unlabelled_subjects: int = 100
  validation_subjects: int = 16
  test_subjects: int = 60
  target_seconds: float = 60.0
  model: Model = Model()
  target_model: Model = Model(extractor="")
  windows: Windows = Windows()
  pretrain: Training = Training(learning_rate=2e-2)
  steps: int = 600
  batch: int = 32
  cohort_seed: int = 2024
  calibration: Calibration = Calibration()
  custom: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

  @property
  def signals(self) -> Signals:
    """What its source network reads and gives."""
    return Signals(self.site, self.reference, self.windows, self.calibration)

  @property
  def target_name(self) -> str:
    """What the target is called in tables and files: its scenario, or the name of its store."""
    return os.path.basename(os.path.normpath(self.target_data)) if self.target_data else self.scenario
