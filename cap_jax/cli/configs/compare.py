"""The default comparison: the five strategies in their best form, `auto`, and the baselines, in one target clinic.

Command: python -m experiments.compare
Time: 3.5 minutes on 2 cores beside a study.
Expected: with 5 labelled subjects `auto` errs by at most 0.65 mmHg, and every strategy by less than the FIR transfer function, in silico.

The validation subjects of this clinic selected, at 1, 5 and 20 labels, Muon, the learning rates, and θ_p, which is all of the
extractor except its last normalisation; with the network of the package that read no context, and not anew with today's.
The network from scratch had the same choice of optimisers.
"""

from ml_collections import ConfigDict

from cap_jax import config
from cap_jax.cli import study_flags
from cap_jax.study import study_config

_LAYERS = (
  "f/encoder_0", "f/encoder_1", "f/section", "f/embed", "f/level", "f/layer_0", "f/layer_1", "f/layer_2", "f/layer_3"
)  # fmt: skip


def get_config() -> ConfigDict:
  """Returns the study of the packaged network and hypertensive subjects of 60 to 80 years behind an under-damped
  transducer."""
  return study_flags.to_config_dict(
    study_config.Study(
      source="clinics",
      source_network="radial",
      model=config.Model(extractor="context_cnn"),
      scenario="device_population",
      n_target=(0, 1, 5, 20),
      baselines=("peripheral", "gtf_target", "adaptive_tf_source", "source"),
      strategies=(
        "scratch",
        "feature_transfer",
        "fine_tuning",
        "parameter_transfer",
        "multi_task/context",
        "domain_adaptation/context",
        "auto",
      ),
      source_seconds=8.0,
      steps=350,
      batch=12,
      custom={
        "scratch": {"optimizer": "muon", "learning_rate": 1e-2},
        "feature_transfer": {"optimizer": "muon", "learning_rate": 3e-2},
        "parameter_transfer": {
          "optimizer": "muon",
          "learning_rate": 2e-2,
          "init_from_source": _LAYERS,
          "stages": ((_LAYERS,),),
        },
      },
    )
  )
