import torch
from torch.nn import functional as F

from tastespace.models.parts.scaling import to_lengths


def test_each_block_has_its_length_and_direction() -> None:
    vectors = torch.randn(2, 5, 7)
    scaled = to_lengths(vectors, [(3, 1.5), (4, 0.4)])
    expected = torch.cat([F.normalize(vectors[..., :3], dim=-1) * 1.5, F.normalize(vectors[..., 3:], dim=-1) * 0.4], -1)
    torch.testing.assert_close(scaled, expected)


def test_a_vector_of_zeros_stays_one() -> None:
    vectors = torch.zeros(1, 4, requires_grad=True)
    scaled = to_lengths(vectors, [(2, 3.0), (2, 3.0)])
    assert not scaled.any()
    scaled.sum().backward()
    assert vectors.grad is not None
    assert torch.isfinite(vectors.grad).all()


def test_the_gradient_is_that_of_the_function() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(4, 7, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: to_lengths(v, [(3, 1.5), (4, 0.4)]), (vectors,))
