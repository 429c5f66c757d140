"""The table of 116 arteries and its static topology: pieces, nodes, measuring sites, order of elimination.

Lengths and radii: Mynard & Smolich 2015 (Ann. Biomed. Eng. 43, 1443; radii × √1.5) and, for the hand, Alastruey et al.
2006 (Proc. ICNAAM), as compiled for the Pulse Wave Database by Charlton et al. 2019 (Am. J. Physiol. 317, H1062). The
loops (circle of Willis, palmar arches) are part of the network.
"""

import csv
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from importlib import resources

import numpy as np

from cap_jax.arteries import elimination

# Artery number and fraction of its length. The first five are the sites of the Pulse Wave Database.
SITES: Mapping[str, tuple[int, float]] = {
  "aortic_root": (1, 0.0),
  "carotid": (15, 0.5),
  "brachial": (21, 0.75),
  "radial": (22, 1.0),
  "digital": (112, 1.0),
  "femoral": (46, 0.5),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArteryTable:
  """Arteries: number, end nodes, reference length and radii [m], each (artery,)."""

  number: np.ndarray
  node_in: np.ndarray
  node_out: np.ndarray
  length_m: np.ndarray
  radius_in_m: np.ndarray
  radius_out_m: np.ndarray

  def rows(self, arteries: Sequence[int]) -> np.ndarray:
    """Returns the rows of arteries in the table.

    Args:
      arteries: numbers of the arteries.

    Raises:
      ValueError: an artery is not in the table.
    """
    row_by_number = {int(n): row for row, n in enumerate(self.number)}
    missing = [n for n in arteries if n not in row_by_number]
    if missing:
      raise ValueError(f"arteries {missing} are not in the table of {len(row_by_number)} arteries")
    return np.array([row_by_number[n] for n in arteries], dtype=np.int32)


@functools.cache
def read_table() -> ArteryTable:
  """Reads the 116 arteries that ship with the package."""
  text = resources.files("cap_jax.arteries").joinpath("data/arteries116.csv").read_text(encoding="utf-8")
  rows = list(csv.DictReader(text.splitlines()))

  def column(name: str, kind: type) -> np.ndarray:
    return np.array([kind(row[name]) for row in rows])

  return ArteryTable(
    number=column("artery", int),
    node_in=column("node_in", int),
    node_out=column("node_out", int),
    length_m=column("length_m", float),
    radius_in_m=column("radius_in_m", float),
    radius_out_m=column("radius_out_m", float),
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArterialNetwork:
  """Static topology: everything that does not depend on a parameter of a subject.

  Attributes:
    artery: (piece,) row of the artery that a piece belongs to.
    start, end: (piece,) fractions of the artery's length where the piece begins and ends.
    terminal: (terminal,) rows of the arteries that end in a terminal.
    ground_parts: (node, g) slots of [inlet shunts, outlet shunts, terminals, zero] that join a node to the ground.
    schedule: the elimination, whose edges are the pieces, then the ground edge of each node.
    sites: names of the probes, in order.
    site_piece: (site,) the piece that ends at each site, or begins there where the site is the inlet of its artery.
    site_at_end: (site,) whether it ends there.
    downstream: (site, terminal) whether all the site's steady flow goes to these terminals and they get no other; a row
      of False where the artery lies in a loop.
  """

  artery: np.ndarray
  start: np.ndarray
  end: np.ndarray
  terminal: np.ndarray
  ground_parts: np.ndarray
  schedule: elimination.Schedule
  sites: tuple[str, ...]
  site_piece: np.ndarray
  site_at_end: np.ndarray
  downstream: np.ndarray


def _cuts(pieces: int, fractions: Sequence[float]) -> np.ndarray:
  return np.unique(np.round([*np.linspace(0.0, 1.0, pieces + 1), *fractions], 6))


def _cut(
  table: ArteryTable, pieces: Sequence[int], sites: Sequence[tuple[int, float]]
) -> tuple[list[int], list[float], list[float], list[tuple[int, int]], dict[tuple[int, float], int]]:
  """Returns the pieces and the cuts.

  A piece has the row of its artery, the fractions where it begins and ends, and its two nodes. The cuts map
  (row, fraction) to a node.
  """
  next_node = 1 + int(max(table.node_in.max(), table.node_out.max()))
  artery, start, end, ends, at = [], [], [], [], {}
  for row, count in enumerate(pieces):
    cuts = _cuts(count, [fraction for own, fraction in sites if own == row]).tolist()
    inner = range(next_node, next_node + len(cuts) - 2)
    next_node += len(inner)
    nodes = [int(table.node_in[row]), *inner, int(table.node_out[row])]
    at.update({(row, cut): node for cut, node in zip(cuts, nodes, strict=True)})
    for k in range(len(cuts) - 1):
      artery.append(row)
      start.append(cuts[k])
      end.append(cuts[k + 1])
      ends.append((nodes[k], nodes[k + 1]))
  return artery, start, end, ends, at


def _ground_parts(table: ArteryTable, ends: Sequence[tuple[int, int]], terminal: Sequence[int]) -> dict[int, list[int]]:
  """Returns node → slots of its connections to the ground: inlet shunts, outlet shunts, then terminals."""
  slots_by_node: dict[int, list[int]] = {}
  for k, (a, b) in enumerate(ends):
    slots_by_node.setdefault(a, []).append(k)
    slots_by_node.setdefault(b, []).append(len(ends) + k)
  for w, row in enumerate(terminal):
    slots_by_node[int(table.node_out[row])].append(2 * len(ends) + w)
  return slots_by_node


def make_network(
  table: ArteryTable,
  sites: Mapping[str, tuple[int, float]],
  root: int,
  pieces: Sequence[int] | None = None,
  flows: bool = False,
) -> ArterialNetwork:
  """Cuts the arteries into pieces and plans the elimination.

  Args:
    table: the arteries.
    sites: name → (artery number, fraction of its length); a site is always the end of a piece.
    root: node where the inflow enters.
    pieces: pieces per artery; by default 4 for a tapered artery of 10 cm or more, 2 for a shorter tapered one of 5 cm
      or more, else 1.
    flows: whether the flow at the sites is computed as well as the pressure. The probes are then the sites, the other
      ends of their pieces, and the terminals.
  """
  if pieces is None:
    taper = np.abs(table.radius_out_m / table.radius_in_m - 1) > 0.02
    pieces = np.where(taper & (table.length_m >= 0.1), 4, np.where(taper & (table.length_m >= 0.05), 2, 1)).tolist()
  site_rows = {name: (int(table.rows([number])[0]), fraction) for name, (number, fraction) in sites.items()}
  artery, start, end, ends, at = _cut(table, pieces, list(site_rows.values()))
  inlets = set(table.node_in.tolist())
  terminal = [row for row, node in enumerate(table.node_out.tolist()) if node not in inlets and _is_leaf(table, node)]
  piece_count, slots_by_node = len(ends), _ground_parts(table, ends, terminal)
  edges = [*ends, *((node, elimination.GROUND) for node in slots_by_node)]
  probes = [at[row, round(fraction, 6)] for row, fraction in site_rows.values()]
  at_end = np.array([fraction > 0 for _, fraction in site_rows.values()])
  site_piece = np.array(
    [
      next(k for k in range(piece_count) if artery[k] == row and abs((end if last else start)[k] - fraction) < 1e-5)
      for last, (row, fraction) in zip(at_end, site_rows.values(), strict=True)
    ]
  )
  if flows:
    probes += [ends[k][0 if last else 1] for k, last in zip(site_piece.tolist(), at_end, strict=True)]
    probes += [int(table.node_out[row]) for row in terminal]
  return ArterialNetwork(
    artery=np.array(artery, dtype=np.int32),
    start=np.array(start),
    end=np.array(end),
    terminal=np.array(terminal, dtype=np.int32),
    ground_parts=elimination.padded(list(slots_by_node.values()), 2 * piece_count + len(terminal)),
    schedule=elimination.make_schedule(edges, root, probes),
    sites=tuple(sites),
    site_piece=site_piece,
    site_at_end=at_end,
    downstream=np.array([_fed_terminals(table, row, root, terminal) for row, _ in site_rows.values()]),
  )


def _fed_terminals(table: ArteryTable, row: int, root: int, terminal: Sequence[int]) -> list[bool]:
  """Returns which terminals an artery alone feeds: those cut off from the root without it, none if it is in a loop."""
  pairs = list(zip(table.node_in.tolist(), table.node_out.tolist(), strict=True))
  reached, waiting = {root}, [root]
  while waiting:
    node = waiting.pop()
    for k, pair in enumerate(pairs):
      if k != row and node in pair:
        other = pair[0] if pair[1] == node else pair[1]
        if other not in reached:
          reached.add(other)
          waiting.append(other)
  return [pairs[w][1] not in reached for w in terminal]


def _is_leaf(table: ArteryTable, node: int) -> bool:
  return int((table.node_in == node).sum() + (table.node_out == node).sum()) == 1


@functools.cache
def reference_network() -> ArterialNetwork:
  """Returns the network of the 116 arteries with the sites of `SITES`."""
  return make_network(read_table(), SITES, root=1)


# The measuring sites of the Pulse Wave Database, in its order.
PWDB_SITES: Mapping[str, tuple[int, float]] = {
  "AorticRoot": (1, 0.0),
  "ThorAorta": (18, 1.0),
  "AbdAorta": (39, 0.0),
  "IliacBif": (41, 1.0),
  "Carotid": (15, 0.5),
  "SupTemporal": (87, 1.0),
  "SupMidCerebral": (72, 1.0),
  "Brachial": (21, 0.75),
  "Radial": (22, 1.0),
  "Digital": (112, 1.0),
  "CommonIliac": (44, 0.5),
  "Femoral": (46, 0.5),
  "AntTibial": (49, 1.0),
}


@functools.cache
def pwdb_network() -> ArterialNetwork:
  """Returns the network of the 116 arteries with the sites of `PWDB_SITES`, and their flows."""
  return make_network(read_table(), PWDB_SITES, root=1, flows=True)
