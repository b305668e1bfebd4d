"""Similarity: of items, the cosine of their vectors times the evidence for the neighbour; of users, the cosine alone.

Measured on validation rows of five logs (benchmarks/neighbours.py): without evidence, items that one or two users like
crowd the lists of popular ones; of users, on the other hand, any such weight makes the neighbours worse on most logs.
"""

import numpy as np
from numpy.typing import NDArray

HALF_EVIDENCE = 1.0  # likes at which a similarity counts half; 0.25 to 2 do as well, more favours popular items


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale the rows (M, D) to length 1; rows of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)


def weigh_by_evidence(unit: NDArray[np.float32], likes: NDArray[np.floating]) -> NDArray[np.float32]:
    """Scale unit vectors (M, D) of items to length n / (n + 1), from the number of `likes` n (M,) of each.

    The inner product with a vector of length 1 is then the similarity.

    >>> weigh_by_evidence(np.ones((2, 1), dtype=np.float32), np.array([1.0, 3.0])).ravel().tolist()
    [0.5, 0.75]
    """
    return (unit * (likes / (likes + HALF_EVIDENCE))[:, None]).astype(np.float32)
