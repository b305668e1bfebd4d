"""Build a model before its first epoch: parameters, features, and everything that is derived from training rows."""

from dataclasses import replace
from typing import Any

import torch

from tastespace import models
from tastespace.data.features import Features
from tastespace.data.interactions import Interactions
from tastespace.data.split import Split
from tastespace.models.base import Model, Options, Shapes
from tastespace.models.parts.initialization import init_from_features, init_from_svd


def shapes_of(cls: type[Model], split: Split, features: Features | None) -> Shapes:
    """Sizes of the vocabulary, and of the features where the model reads them."""
    shapes = Shapes(split.train.n_users, split.train.n_items)
    if not cls.reads_features or features is None:
        return shapes
    return replace(shapes, user_features=features.users.shape[1], item_features=features.items.shape[1])


def seed_torch(seed: int, device: str) -> None:
    """Seed torch; on the processor its generator alone, as torch keeps a stack trace for each device not in use."""
    if device == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def build_model(
    name: str, config: Any, shapes: Shapes, options: Options, rows: Interactions, features: Features | None
) -> Model:
    """Build a model, prepared from the training `rows`, with its weights initialised."""
    seed_torch(options.seed, options.device)
    model = models.get(name)(config, shapes)
    if model.reads_features and features is not None:
        model.set_features(features)
    model.prepare(rows)
    if options.init == "features" and features is not None:
        init_from_features(model, name, features)
    if options.init == "svd":
        init_from_svd(model, name, rows)
    return model.to(options.device) if model.learns_by_gradient() else model  # closed-form models are numpy and scipy
