"""Checks before a long training: whether a strategy fits the source network and the target network."""

import dataclasses

import jax

from cap_jax import config
from cap_jax.losses import tasks
from cap_jax.models import net as nets
from cap_jax.strategies import freezing, low_rank, surgery
from cap_jax.strategies.strategy import Strategy
from cap_jax.types import InputError, Params


def wave_model(source: config.Model) -> config.Model:
  """Returns the config of the source network with a head for the wave."""
  head = nets.WAVE_HEADS.get(source.extractor, "waveform")
  return source if source.head in nets.WAVES else dataclasses.replace(source, head=head)


def with_adaptor(strategy: Strategy, model: config.Model) -> config.Model:
  """Returns the config of the target network with the adaptor of the strategy.

  Args:
    strategy: how to transfer.
    model: the target network.
  """
  return dataclasses.replace(model, adaptor=strategy.adaptor) if strategy.adaptor != "none" else model


def source_scales(strategy: Strategy) -> bool:
  """Returns whether the scaling comes from the source: where its parameters or its windows are used."""
  return bool(strategy.init_from_source) or "source" in strategy.streams or not strategy.needs_labels


def check(strategy: Strategy, model: config.Model, source_model: config.Model, task: str, samples: int) -> None:
  """Checks that a strategy fits a source network, before a long training.

  Args:
    strategy: how to transfer.
    model: the target network.
    source_model: the source network.
    task: what the source network was trained for.
    samples: length of a window.

  Raises:
    InputError: the strategy cannot follow a source of this task.
    surgery.MergeError: the networks do not fit together as the strategy requires, or it freezes a layer that does not
      exist.
  """
  check_task(strategy, task)
  check_context(strategy, source_model)
  model = with_adaptor(strategy, model)
  net, source_net = nets.make_net(model), nets.make_net(source_model)
  unknown = [name for name in model.covariates if name not in source_model.covariates]
  if unknown and source_scales(strategy):
    raise InputError(
      f"strategy {strategy.name}: it keeps the scaling of the source network, which does not read {', '.join(unknown)}; remove them from the target's covariates"
    )
  try:
    _check_blocks(strategy, net, source_net, samples, task)
  except surgery.MergeError as error:
    raise surgery.MergeError(f"strategy {strategy.name}: {error}") from error


def _check_blocks(strategy: Strategy, net: nets.Net, source_net: nets.Net, samples: int, task: str) -> None:
  labels: Params = {"r": "freeze"}
  if not {"target", "source"} & {term.name for term in strategy.loss} and "r" not in strategy.init_from_source:
    raise surgery.MergeError("no loss trains the fresh head; add r to init_from_source, or add the loss target")

  def begin() -> Params:
    source = source_net.init(jax.random.key(0), samples)
    return strategy.start(source, net, source_net, samples, jax.random.key(1))[0]

  start = jax.eval_shape(begin)  # the shapes suffice: nothing is drawn or compiled
  for stage in strategy.stages:
    paths, _ = freezing.resolve(stage.freeze, net.layers(samples), 1, 0.0)
    labels = surgery.label(start, strategy.frozen(paths))
    own = {block: labels[block] for block in (*net.blocks, low_rank.BLOCK) if block in labels}
    if "train" not in jax.tree.leaves(own):
      raise surgery.MergeError(f"the whole network is frozen ({', '.join(paths)}); freeze fewer paths")
  # `labels` are those of the last stage
  if task != "waveform" and "r" in strategy.init_from_source and "freeze" in jax.tree.leaves(labels["r"]):
    raise surgery.MergeError(f"the head was trained for {task} and stays frozen; train all of r in the last stage")


def check_context(strategy: Strategy, source_model: config.Model) -> None:
  """Checks that a strategy that trains nothing has something to adapt.

  Args:
    strategy: how to transfer.
    source_model: the source network.

  Raises:
    InputError: the source network does not read the context of a measurement.
  """
  if not strategy.stages and not source_model.reads_context:
    raise InputError(
      f"strategy {strategy.name}: trains nothing, and the source network does not read the context of a clinic; use one that "
      "does, such as radial of the package"
    )


def check_site(strategy: Strategy, source_site: str, site: str) -> None:
  """Checks that a strategy that trains nothing stays at the site of its network.

  Args:
    strategy: how to transfer.
    source_site: where the source network reads.
    site: where the target measures.

  Raises:
    InputError: the sites differ.
  """
  if not strategy.stages and site != source_site:
    raise InputError(
      f"strategy {strategy.name}: trains nothing, so a network that reads {source_site} cannot follow it to {site}; use a source "
      f"network that reads {site}, or a strategy that trains"
    )


def check_unit(strategy: Strategy, unitless: bool) -> None:
  """Checks that a strategy can follow a source whose input has no unit.

  Args:
    strategy: how to transfer.
    unitless: whether the input of the source network has no unit.

  Raises:
    InputError: the mean teacher scales waves about the mean pressure of the input, which such an input does not have.
  """
  if unitless and any(term.name == "mean_teacher" for term in strategy.loss):
    raise InputError(
      f"strategy {strategy.name}: its loss mean_teacher scales pulses, but a PPG without a unit has no pulse pressure; choose another strategy"
    )


def check_task(strategy: Strategy, task: str) -> None:
  """Checks that a strategy can follow a source of a task.

  Args:
    strategy: how to transfer.
    task: what the source network was trained for.

  Raises:
    InputError: the strategy trains, transfers or keeps the head of a task other than the target's.
  """
  if task == "waveform":
    return
  shares_head = any(term.name == "source" for term in strategy.loss)
  takes_head = any(rule == "r" or rule.startswith("r/") for rule in strategy.init_from_source)
  if task == tasks.IMPORTED and (takes_head or "source" in strategy.streams):
    raise InputError(
      f"strategy {strategy.name}: the source network is imported, and neither its task nor its labels are this project's; transfer "
      'parts of f only (init_from_source=("f",)), as feature_transfer does'
    )
  gives_numbers = tasks.TASKS[task].numerics is not None
  if shares_head or (takes_head and (gives_numbers or not strategy.needs_labels)):
    raise InputError(
      f"strategy {strategy.name}: its head comes from the source, which was trained for {task}; transfer only other parts "
      '(init_from_source=("f",)) or train the source task on a separate head (the loss source_task)'
    )
