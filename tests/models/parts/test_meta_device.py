"""Sizes without contents agree with the real model's, and load no compiler."""

import subprocess
import sys

import pytest

from tastespace import models
from tastespace.models.base import Shapes
from tastespace.models.parts.meta_device import shapes_only


@pytest.mark.parametrize("name", models.names())
def test_sizes_alone_are_those_of_the_model(name: str) -> None:
    cls, shapes = models.get(name), Shapes(5, 7, 3, 2)
    with shapes_only():
        planned = cls(cls.Config(), shapes).state_dict()
    real = cls(cls.Config(), shapes).state_dict()
    assert {key: (value.shape, value.dtype) for key, value in planned.items()} == {
        key: (value.shape, value.dtype) for key, value in real.items()
    }
    assert all(value.is_meta for value in planned.values())


def test_training_loads_neither_a_compiler_nor_a_statistics_library() -> None:
    code = (
        "import sys, tastespace as ts\n"
        "from tastespace.data.synthetic import checkerboard\n"
        "on = ts.split(checkerboard(), 'article')\n"
        "for name in ('mf', 'bert4rec', 'lightgcn', 'two_tower'): ts.train(name, on, epochs=1, baselines=False)\n"
        "print(sorted({'torch._dynamo', 'sympy', 'scipy.stats'} & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
