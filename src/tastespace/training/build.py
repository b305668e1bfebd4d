"""Build a model before its first epoch: parameters, features, and everything that is derived from training rows."""

from dataclasses import replace
from typing import Any

import torch

from tastespace import models
from tastespace.config import unresolved
from tastespace.data.features import Features
from tastespace.data.interactions import Interactions
from tastespace.data.split import Split
from tastespace.models.base import Model, Options, Shapes
from tastespace.models.parts.initialization import init_from_features, init_from_svd

_SVD_RATE, _RANDOM_RATE, _LOWEST_RATE = 0.02, 0.06, 0.001
_STEPS = 8  # of an epoch, up to which these rates hold
_BATCH_SIZE, _MOST_STEPS = 5_500, 32  # where the size is "auto"


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


def highest_rate(options: Options) -> float:
    """Learning rate for the shortest epochs, or the one that was set."""
    if "learning_rate" not in unresolved(options):
        return options.learning_rate
    return _SVD_RATE if options.init == "svd" else _RANDOM_RATE


def settle_batch_size(options: Options, rows: Interactions) -> Options:
    """Return the options with the batch size settled for the training `rows`.

    Where each step costs a pass over the whole log, a larger log has larger steps rather than more of them.
    """
    if "batch_size" not in unresolved(options):
        return options
    return replace(options, batch_size=max(_BATCH_SIZE, _n_positives(rows) // _MOST_STEPS))


def settle_options(options: Options, rows: Interactions) -> Options:
    """Return the options with batch size and learning rate settled for the training `rows`.

    A step of Adam moves a vector by about the rate, whatever the gradient. So the rate falls with the number of steps,
    for an epoch to move it equally far on any log; an SVD is to be refined, and random vectors have further to go.
    """
    options = settle_batch_size(options, rows)
    if "learning_rate" not in unresolved(options):
        return options
    steps = max(_STEPS, _n_positives(rows) / options.batch_size)
    return replace(options, learning_rate=max(_LOWEST_RATE, highest_rate(options) * _STEPS / steps))


def _n_positives(rows: Interactions) -> int:
    return int((rows.weight > 0).sum())


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
