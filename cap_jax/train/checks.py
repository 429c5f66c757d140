"""Before long work: whether a strategy fits a source network and the target's."""

import dataclasses

import jax

from cap_jax import config
from cap_jax.losses import tasks
from cap_jax.models import net as nets
from cap_jax.strategies import freezing, low_rank, surgery
from cap_jax.strategies.strategy import Strategy
from cap_jax.types import InputError, Params


def wave_model(source: config.Model) -> config.Model:
  """The source's network with a head for the wave."""
  head = nets.WAVE_HEADS.get(source.extractor, "waveform")
  return dataclasses.replace(source, head=head) if source.head == "numbers" else source


def with_adaptor(strategy: Strategy, model: config.Model) -> config.Model:
  """The target's network with the adaptor that the strategy asks for."""
  return dataclasses.replace(model, adaptor=strategy.adaptor) if strategy.adaptor != "none" else model


def source_scales(strategy: Strategy) -> bool:
  """Whether scaling comes with the source: where its parameters or its windows are used."""
  return bool(strategy.init_from_source) or "source" in strategy.streams or not strategy.needs_labels


def check(strategy: Strategy, model: config.Model, source_model: config.Model, task: str, samples: int) -> None:
  """Checks, before long work, that a strategy fits a source network.

  Args:
    strategy: how to transfer.
    model: the target's network.
    source_model: the source's.
    task: what the source was trained for.
    samples: of a window.

  Raises:
    InputError: it cannot follow a source of this task.
    surgery.MergeError: the networks do not fit together as it asks, or it holds what there is not.
  """
  check_task(strategy, task)
  model = with_adaptor(strategy, model)
  net, source_net = nets.make_net(model), nets.make_net(source_model)
  unknown = [word for word in model.covariates if word not in source_model.covariates]
  if unknown and source_scales(strategy):
    raise InputError(
      f"strategy {strategy.name}: the source network takes no {', '.join(unknown)}, so the target's cannot either"
    )
  try:
    _check_parts(strategy, net, source_net, samples, task)
  except surgery.MergeError as error:
    raise surgery.MergeError(f"strategy {strategy.name}: {error}") from error


def _check_parts(strategy: Strategy, net: nets.Net, source_net: nets.Net, samples: int, task: str) -> None:
  if not {"target", "source"} & {term.name for term in strategy.loss} and "r" not in strategy.init_from_source:
    raise surgery.MergeError("nothing trains its fresh head; take r, or add the loss target")

  def begin() -> Params:
    source = source_net.init(jax.random.key(0), samples)
    return strategy.start(source, net, source_net, samples, jax.random.key(1))[0]

  start = jax.eval_shape(begin)  # shapes tell it all: nothing is drawn or compiled
  for stage in strategy.stages:
    paths, _ = freezing.resolve(stage.freeze, net.layers(samples), 1, 0.0)
    labels = surgery.label(start, strategy.frozen(paths))
    own = {block: labels[block] for block in (*net.blocks, low_rank.BLOCK) if block in labels}
    if "train" not in jax.tree.leaves(own):
      raise surgery.MergeError(f"all of its network is frozen ({', '.join(paths)}); leave something to train")
  # `labels` are those of the last stage
  if task != "waveform" and "r" in strategy.init_from_source and "freeze" in jax.tree.leaves(labels["r"]):
    raise surgery.MergeError(f"its head was trained for {task} and stays frozen; let the last stage train all of r")


def check_task(strategy: Strategy, task: str) -> None:
  """Checks that a strategy can follow a source of a task.

  Raises:
    InputError: it trains, takes or keeps the head of another task than the target's.
  """
  if task == "waveform":
    return
  shares_head = any(term.name == "source" for term in strategy.loss)
  takes_head = any(rule == "r" or rule.startswith("r/") for rule in strategy.init_from_source)
  gives_numbers = tasks.TASKS[task].numerics is not None
  if shares_head or (takes_head and (gives_numbers or not strategy.needs_labels)):
    raise InputError(
      f"strategy {strategy.name}: its head comes from the source, which was trained for {task}; take other parts "
      '(init_from_source=("f",)) or give the source\'s task a head of its own (the loss source_task)'
    )
