"""Products block by block are products."""

import pytest
import torch

from tastespace.models.parts import matmul as module
from tastespace.models.parts.matmul import products


@pytest.mark.parametrize("n", [0, 1, 6, 7, 20])
def test_blocks_of_items_change_nothing(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 3)
    monkeypatch.setattr(module, "_WHOLE_UP_TO", 6)
    torch.manual_seed(0)
    queries, items, bias = torch.randn(4, 5), torch.randn(n, 5), torch.randn(n)
    torch.testing.assert_close(products(queries, items), queries @ items.T)
    into = torch.full((4, n), torch.nan)
    assert products(queries, items, bias, out=into) is into
    torch.testing.assert_close(into, queries @ items.T + bias)
