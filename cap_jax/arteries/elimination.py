"""Star-mesh elimination: nodal admittances of a network, solved without a subtraction.

A node i with spokes y_ij to its neighbours j is removed by joining every pair of neighbours with

    y_jk += y_ij · y_ik / S_i,      S_i = Σ_j y_ij,

and its voltage follows from those of the neighbours as v_i = Σ_j (y_ij / S_i) v_j. The ground is a node like the others
(voltage 0, never removed), so shunts need no separate rule. Only sums, products and quotients of admittances with
non-negative real part occur: nothing cancels, single precision is safe, and loops are exact.

The order is static. Each round removes an *independent set* of low-degree nodes at once, so a network of some hundred
nodes takes about ten rounds of dense gathers: it compiles in about a second and runs at memory speed. Rosen's theorem
(Proc. IEE 1924) is the rule; the minimum-degree order is Tinney and Walker (Proc. IEEE 1967).
"""

import dataclasses
import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

GROUND = -1
Neighbours = dict[int, dict[int, int]]  # node → {adjacent node: slot of the edge between them}


@dataclasses.dataclass(frozen=True)
class Round:
  """One independent set of nodes, removed together. Indices are static NumPy arrays.

  Attributes:
    spokes: (m, d) edge slots of the removed nodes; the slot past the last edge holds zero.
    ends: (m, d) positions of the neighbours in the list of known voltages at back substitution.
    pairs: (p, 2) columns of `spokes` that are joined.
    gather: (e, g) slots of [edges, zero, fills] that add up to the edges of the next round.
    rows_at_back_substitution: (w,) rows whose voltage is needed at back substitution.
  """

  spokes: np.ndarray
  ends: np.ndarray
  pairs: np.ndarray
  gather: np.ndarray
  rows_at_back_substitution: np.ndarray


@dataclasses.dataclass(frozen=True)
class Schedule:
  """Rounds that reduce the graph to the single edge root–ground, and the positions of the probes' voltages."""

  rounds: tuple[Round, ...]
  probes: np.ndarray


def _independent_set(neighbours: Neighbours, root: int) -> list[int]:
  """Returns nodes of low degree, no two of them adjacent, smallest degree first."""
  nodes = sorted((n for n in neighbours if n not in (root, GROUND)), key=lambda n: (len(neighbours[n]), n))
  bound = max(3, len(neighbours[nodes[0]]))  # chain, branch end, or the least degree that is left
  chosen: list[int] = []
  blocked: set[int] = set()
  for node in nodes:
    if len(neighbours[node]) <= bound and node not in blocked:
      chosen.append(node)
      blocked |= {node, *neighbours[node]}
  return chosen


def padded(rows: Sequence[Sequence[int]], fill: int) -> np.ndarray:
  """Stacks rows of unequal length in one array, padded on the right.

  Args:
    rows: the rows.
    fill: value of the padding.
  """
  width = max(len(row) for row in rows)
  return np.array([[*row, *[fill] * (width - len(row))] for row in rows], dtype=np.int32)


def _as_neighbours(pairs: Sequence[tuple[int, int]]) -> Neighbours:
  neighbours: Neighbours = {}
  for slot, (a, b) in enumerate(pairs):
    if b in neighbours.get(a, {}):
      raise ValueError(f"edge {(a, b)} is duplicate; add parallel admittances before the elimination")
    neighbours.setdefault(a, {})[b] = slot
    neighbours.setdefault(b, {})[a] = slot
  return neighbours


def _eliminate(neighbours: Neighbours, chosen: list[int]) -> tuple[Neighbours, np.ndarray, np.ndarray, np.ndarray]:
  """Returns the graph without the chosen nodes, and the round's `spokes`, `pairs` and `gather`."""
  zero = 1 + max(slot for row in neighbours.values() for slot in row.values())
  spokes = padded([list(neighbours[n].values()) for n in chosen], zero)
  columns = list(itertools.combinations(range(spokes.shape[1]), 2))
  slots_by_edge: dict[tuple[int, int], list[int]] = {}
  for a, row in neighbours.items():
    for b, slot in row.items():
      if a < b and a not in chosen and b not in chosen:
        slots_by_edge[a, b] = [slot]
  for m, node in enumerate(chosen):
    ends = list(neighbours[node])
    for p, (j, k) in enumerate(columns):
      if k < len(ends):
        a, b = sorted((ends[j], ends[k]))
        slots_by_edge.setdefault((a, b), []).append(zero + 1 + m * len(columns) + p)
  pairs = np.array(columns, dtype=np.int32).reshape(-1, 2)
  return _as_neighbours(list(slots_by_edge)), spokes, pairs, padded(list(slots_by_edge.values()), zero)


def make_schedule(edges: Sequence[tuple[int, int]], root: int, probes: Sequence[int]) -> Schedule:
  """Plans the elimination.

  Args:
    edges: pairs of nodes, `GROUND` for the ground; each pair at most once.
    root: the node that stays, where the source is applied.
    probes: nodes whose voltage is computed.

  Raises:
    ValueError: a pair occurs twice, or a probe is not a node.
  """
  neighbours = _as_neighbours(edges)
  unknown = set(probes) - set(neighbours)
  if unknown:
    raise ValueError(f"probes {sorted(unknown)} are not nodes of the network")

  # The voltage of a removed node follows from nodes removed later, so those are needed too.
  needed = set(probes)
  plans = []
  while set(neighbours) != {root, GROUND}:
    chosen = _independent_set(neighbours, root)
    ends = [list(neighbours[n]) for n in chosen]
    needed_rows = [row for row, node in enumerate(chosen) if node in needed]
    needed |= {end for row in needed_rows for end in ends[row]}
    neighbours, spokes, pairs, gather = _eliminate(neighbours, chosen)
    plans.append((chosen, ends, needed_rows, spokes, pairs, gather))

  position = {GROUND: 0, root: 1}
  rounds: list[Round] = []
  for chosen, ends, needed_rows, spokes, pairs, gather in reversed(plans):
    places = padded([[position.get(end, 0) for end in row] for row in ends], 0)
    rounds.insert(0, Round(spokes, places, pairs, gather, np.array(needed_rows, dtype=np.int32)))
    for row in needed_rows:
      position[chosen[row]] = len(position)
  return Schedule(tuple(rounds), np.array([position[p] for p in probes], dtype=np.int32))


def reciprocal(z: jax.Array) -> jax.Array:
  """Returns 1/z = z̄/|z|² for values far from overflow.

  XLA's complex quotient guards its range at ten times the cost.
  """
  return jnp.conj(z) / (z.real**2 + z.imag**2)


def solve(schedule: Schedule, y_ek: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Computes the input admittance of the root and the voltages of the probes relative to the root's.

  Args:
    schedule: from `make_schedule`.
    y_ek: (edge, frequency) admittances in the order of the edges, complex.

  Returns:
    y_root_k: (frequency,) admittance between root and ground.
    v_pk: (probe, frequency) voltage of each probe for a unit voltage at the root.
  """
  weights = []
  zero = jnp.zeros_like(y_ek[:1])
  for r in schedule.rounds:
    y_ek = jnp.concatenate([y_ek, zero])
    y_mdk = y_ek[r.spokes]
    w_mdk = y_mdk * reciprocal(y_mdk.sum(1, keepdims=True))
    fill_mpk = y_mdk[:, r.pairs[:, 0]] * w_mdk[:, r.pairs[:, 1]]
    y_ek = jnp.concatenate([y_ek, fill_mpk.reshape(-1, y_ek.shape[-1])])[r.gather].sum(1)
    weights.append(w_mdk)
  v_nk = jnp.concatenate([zero, jnp.ones_like(zero)])
  for r, w_mdk in zip(reversed(schedule.rounds), reversed(weights), strict=True):
    if r.rows_at_back_substitution.size:
      v_wk = (w_mdk[r.rows_at_back_substitution] * v_nk[r.ends[r.rows_at_back_substitution]]).sum(1)
      v_nk = jnp.concatenate([v_nk, v_wk])
  return y_ek[0], v_nk[schedule.probes]
