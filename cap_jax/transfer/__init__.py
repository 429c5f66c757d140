"""Transfer strategies by name: the project at a glance."""

from cap_jax.transfer import feature_transfer, scratch
from cap_jax.transfer.strategy import Strategy

STRATEGIES: dict[str, Strategy] = {
  "scratch": scratch.STRATEGY,
  "feature_transfer": feature_transfer.STRATEGY,
}
