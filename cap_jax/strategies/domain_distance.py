"""The distance between two domains, without labels: the proxy A-distance (Ben-David et al. 2007, NeurIPS 19),

    d_A = 2 (1 − 2 ε)

with ε the error of a linear classifier between source and target features, on subjects outside its training. d_A is 0
for indistinguishable domains and 2 for domains that the classifier separates without error.
"""

import numpy as np

_RIDGE = 1e-2


def _classifier(h_bd: np.ndarray, domain_b: np.ndarray) -> np.ndarray:
  """Fits ±1 to standardised features by ridge regression, with equal weights of both domains, (feature + 1,)."""
  weight_b = np.where(domain_b > 0, 0.5 / (domain_b > 0).sum(), 0.5 / (domain_b < 0).sum())
  f_bd = np.concatenate([np.ones((len(h_bd), 1)), h_bd], axis=1)
  gram = (weight_b[:, None] * f_bd).T @ f_bd
  ridge = _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
  return np.linalg.solve(gram + ridge, (weight_b[:, None] * f_bd).T @ domain_b)


def proxy_a_distance(
  source_bd: np.ndarray, target_bd: np.ndarray, source_subject_b: np.ndarray, target_subject_b: np.ndarray
) -> float:
  """Returns d_A of pooled features, by two folds of subjects.

  Args:
    source_bd, target_bd: (window, feature) pooled features.
    source_subject_b, target_subject_b: (window,) subject names.

  Raises:
    ValueError: a domain has fewer than two subjects.
  """
  h_bd = np.concatenate([source_bd, target_bd]).astype(np.float64)
  h_bd = (h_bd - h_bd.mean(0)) / (h_bd.std(0) + 1e-9)
  domain_b = np.concatenate([-np.ones(len(source_bd)), np.ones(len(target_bd))])
  fold_b = np.zeros(len(h_bd), dtype=int)
  for offset, subject_b in ((0, source_subject_b), (len(source_bd), target_subject_b)):
    names = list(dict.fromkeys(subject_b.tolist()))
    if len(names) < 2:
      raise ValueError("the distance of two domains needs two subjects of each at least")
    number = {name: k % 2 for k, name in enumerate(names)}
    fold_b[offset : offset + len(subject_b)] = [number[name] for name in subject_b.tolist()]
  errors = []
  for fold in (0, 1):
    train, test = fold_b != fold, fold_b == fold
    w_d = _classifier(h_bd[train], domain_b[train])
    predicted_b = np.sign(h_bd[test] @ w_d[1:] + w_d[0])
    wrong_b = predicted_b != domain_b[test]
    errors.append(0.5 * (wrong_b[domain_b[test] > 0].mean() + wrong_b[domain_b[test] < 0].mean()))
  return float(2 * (1 - 2 * min(np.mean(errors), 0.5)))
