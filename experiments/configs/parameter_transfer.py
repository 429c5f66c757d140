"""Parameter transfer: one LSTM layer of a health-monitoring network in a different network for the aortic wave.

The source network has two LSTM layers. From the radial wave, age and cuff pressures it predicts SBP, DBP, MAP, heart rate,
stroke volume and pulse wave velocity. The target network has convolutions, one LSTM, attention and no covariates. Its LSTM
starts from the first layer of the source (`f/lstm_0`), and all layers are trained.

Command: python -m experiments.transfer --config=experiments/configs/parameter_transfer.py --workdir=runs/parameter_transfer
Expected: waveform RMSE 2.24 mmHg on 60 test subjects; the same network from scratch 2.19 (in silico): one recurrent layer of
this source brings no gain.
Time: about 90 seconds on 2 cores.
"""

from ml_collections import ConfigDict

from cap_jax import config
from cap_jax.cli import study_flags
from cap_jax.study import study_config


def get_config() -> ConfigDict:
  """Returns a study of a monitoring source, and a CNN-BiLSTM with attention for five labelled target subjects."""
  return study_flags.to_config_dict(
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
