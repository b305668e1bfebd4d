"""Vectors whose directions form clusters."""

import numpy as np


def planted(n: int, dim: int = 16, seed: int = 0) -> np.ndarray:
    """A mixture of directions, with norms that follow a power law."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(1, n // 50), dim))
    vectors = centres[rng.integers(0, len(centres), n)] + 0.5 * rng.normal(size=(n, dim))
    norms = (1 - rng.random(n)) ** (-1 / 3)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) * norms[:, None]).astype(np.float32)
