"""Star-mesh elimination against dense solves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax.arteries import elimination
from cap_jax.arteries.elimination import GROUND
from tests import tiers


def dense(edges, y_ek, root):
  """Unit voltage at the root: nodal analysis in complex128."""
  nodes = sorted({n for edge in edges for n in edge} - {GROUND})
  place = {n: k for k, n in enumerate(nodes)}
  z_root, v = [], []
  for y_e in np.asarray(y_ek, dtype=complex).T:
    a = np.zeros((len(nodes), len(nodes)), dtype=complex)
    for (p, q), y in zip(edges, y_e, strict=True):
      for m, n in ((p, q), (q, p)):
        if m != GROUND:
          a[place[m], place[m]] += y
          if n != GROUND:
            a[place[m], place[n]] -= y
    source = np.zeros(len(nodes), dtype=complex)
    source[place[root]] = 1
    solution = np.linalg.solve(a, source)
    z_root.append(solution[place[root]])
    v.append(solution / solution[place[root]])
  return np.array(z_root), {n: np.array([row[place[n]] for row in v]) for n in nodes}


def random_network(seed, nodes=40, loops=6):
  rng = np.random.default_rng(seed)
  edges = {(int(rng.integers(k)), k) for k in range(1, nodes)}
  while len(edges) < nodes - 1 + loops:
    a, b = sorted(rng.choice(nodes, 2, replace=False).tolist())
    edges.add((a, b))
  edges = [*sorted(edges), *((k, GROUND) for k in range(nodes))]
  y = rng.uniform(0.1, 2, (len(edges), 3)) + 1j * rng.normal(size=(len(edges), 3))
  return edges, y


@pytest.mark.parametrize("seed", tiers.sample(range(4), 0))
def test_equals_dense_solve_with_loops(seed):
  edges, y_ek = random_network(seed)
  probes = [0, 7, 39, 21]
  schedule = elimination.make_schedule(edges, root=0, probes=probes)
  y_root, v_pk = jax.jit(lambda y: elimination.solve(schedule, y))(jnp.asarray(y_ek, jnp.complex64))
  z_root, v = dense(edges, y_ek, 0)
  np.testing.assert_allclose(1 / y_root, z_root, rtol=2e-5)
  for row, probe in zip(v_pk, probes, strict=True):
    np.testing.assert_allclose(row, v[probe], atol=2e-5)


@pytest.mark.quick
def test_two_resistors_by_hand():
  # root –2S– node –1S– ground: input 2/3 S, node at 2/3 of the root's voltage
  schedule = elimination.make_schedule([(0, 1), (1, GROUND)], root=0, probes=[1])
  y_root, v_pk = jax.jit(lambda y: elimination.solve(schedule, y))(jnp.array([[2.0 + 0j], [1.0 + 0j]]))
  np.testing.assert_allclose(y_root, [2 / 3], rtol=1e-6)
  np.testing.assert_allclose(v_pk, [[2 / 3]], rtol=1e-6)


@pytest.mark.quick
def test_refuses_parallel_edges_and_foreign_probes():
  with pytest.raises(ValueError, match="is duplicate"):
    elimination.make_schedule([(0, 1), (1, 0), (1, GROUND)], root=0, probes=[0])
  with pytest.raises(ValueError, match=r"\[5\] are not nodes"):
    elimination.make_schedule([(0, 1), (1, GROUND)], root=0, probes=[5])
