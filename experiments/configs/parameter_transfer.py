"""Parameter transfer: one LSTM of a large health-monitoring set in a network for the aortic wave that differs elsewhere.

The source reads the radial wave, age and cuff pressures, and gives SBP, DBP, MAP, heart rate, stroke volume and pulse wave
velocity through two LSTM layers. Its first layer (`f/lstm_0`) goes into the target's network, which has convolutions, one LSTM, attention and no
covariates, and is trained there with the rest.

Command: python -m experiments.transfer --config=experiments/configs/parameter_transfer.py --workdir=runs/parameter_transfer
Expected: waveform RMSE 2.24 mmHg on 60 test subjects; the same network from scratch 2.19 (in silico): one recurrent layer of
this source gains nothing.
Time: about 90 seconds on 2 cores.
"""

from ml_collections import ConfigDict

from cap_jax import config
from cap_jax.cli import launcher
from cap_jax.study import study_config


def get_config() -> ConfigDict:
  """Source: monitoring; target: five labelled subjects, a CNN-BiLSTM with attention."""
  return launcher.to_config_dict(
    study_config.Study(
      task="monitoring",
      strategies=("parameter_transfer/trained",),
      n_target=(5,),
      model=config.Model(extractor="lstm", layers=2, covariates=("age", "cuff_sbp_mmhg", "cuff_dbp_mmhg")),
      target_model=config.Model(extractor="cnn_bilstm", layers=1),
      pretrain=config.Training(steps=1500, learning_rate=1e-2),
      custom={"parameter_transfer/trained": {"init_from_source": ("f/lstm_0",), "learning_rate": 5e-3}},
    )
  )
