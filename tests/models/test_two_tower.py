"""Two towers: which rows are read, which are targets, and what is dropped."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import tastespace as ts
from tastespace import models
from tastespace.data.features import Features
from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.data.split import whole
from tastespace.models.base import Shapes
from tastespace.models.parts import likelihood_step
from tastespace.models.two_tower import Bags, TwoTower, TwoTowerConfig
from tastespace.training.optimizer import Adam
from tests.build import log

LOSSES = ["softmax", "sampled-softmax", "bpr", "bce", "gbce"]
SAMPLINGS = ["uniform", "popularity", "in-batch", "mixed"]


def described(n_users: int = 8, n_items: int = 12, **weights: float) -> ts.Dataset:
    """Users of two colours who like items of theirs, with some features missing."""
    rows = [
        (u, i, weights.get("low", 1) if i % 5 == 0 else 1) for u in range(n_users) for i in range(u % 2, n_items, 2)
    ]
    items = np.array(["even", "odd"], dtype=object)[np.arange(n_items) % 2]
    users = np.array(["even", "odd"], dtype=object)[np.arange(n_users) % 2]
    items[0] = users[0] = None
    return ts.Dataset("colours", log(rows), ts.Table({"colour": items}), ts.Table({"likes": users}))


def prepared(data: ts.Dataset, **settings: object) -> TwoTower:
    torch.manual_seed(0)
    features = Features.of(data)
    rows = data.interactions
    shapes = Shapes(rows.n_users, rows.n_items, features.users.shape[1], features.items.shape[1])
    model = TwoTower(TwoTowerConfig(dim=8, **settings), shapes)  # type: ignore[arg-type]
    model.set_features(features)
    model.prepare(rows)
    return model


def batches(model: TwoTower, data: ts.Dataset, seed: int = 0) -> list:
    return list(model.batches(data.interactions, np.random.default_rng(seed), 1000))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("repeats", [1, 3])
def test_targets_are_never_read(seed: int, repeats: int) -> None:
    data = described(low=-1)
    rows = data.interactions
    data = replace(data, interactions=rows.take(np.tile(np.arange(len(rows)), repeats)))
    model = prepared(data)
    for batch in batches(model, data, seed):
        for bags in (batch.liked, batch.unliked):
            owner = torch.searchsorted(bags.starts, torch.arange(len(bags.rows)), right=True) - 1
            read = set(zip(owner.tolist(), bags.rows.tolist(), strict=True))
            answers = batch.answers
            targets = set(zip(answers.rows.tolist(), answers.items.tolist(), strict=True))
            targets |= set(zip(answers.unliked_rows.tolist(), answers.unliked_items.tolist(), strict=True))
            assert not read & targets


def test_disliked_items_are_never_answers() -> None:
    data = described(low=-1)
    model = prepared(data)
    liked = set(data.interactions.positives().pairs().tolist())
    for batch in batches(model, data):
        users = batch.users[batch.answers.rows]
        assert set((users * 12 + batch.answers.items).tolist()) <= liked


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("hidden", [0, 6])
def test_every_loss_trains(loss: str, hidden: int) -> None:
    data = described()
    model = prepared(data, loss=loss, hidden=hidden, learn_temperature=loss == "softmax")
    optimizer = Adam(model.parameters())
    means = []
    for epoch in range(12):
        losses = [model.loss(batch) for batch in batches(model, data, epoch)]
        total = torch.stack(losses).mean()
        optimizer.zero_grad()
        total.backward()
        optimizer.step(0.05)
        means.append(float(total.detach()))
    assert np.mean(means[-5:]) < np.mean(means[:5])


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("loss", ["sampled-softmax", "bpr", "bce"])
def test_a_catalogue_smaller_than_the_number_of_negatives(loss: str, sampling: str) -> None:
    data = described(4, 4)
    model = prepared(data, loss=loss, sampling=sampling, negatives=50, shared_negatives=1000)
    assert all(torch.isfinite(model.loss(batch)) for batch in batches(model, data))


def test_a_sampled_loss_encodes_the_items_of_its_batch_alone() -> None:
    data = described()
    model = prepared(data, loss="sampled-softmax", shared_negatives=2, item_id_dropout=0.0)
    (batch, *_) = batches(model, data)
    model.loss(batch).backward()
    targets = set(batch.answers.items.tolist()) | set(batch.answers.negatives.tolist())
    read = set(batch.liked.rows.tolist())
    moved = set(torch.nonzero(model.item.grad.abs().sum(dim=1)).flatten().tolist())
    assert moved <= targets | read


def test_an_empty_query_is_the_base_vector() -> None:
    model = prepared(described()).eval()
    actual = model.encode_queries(Queries.of_histories(Histories.of([[], []])))
    torch.testing.assert_close(actual[0], actual[1])
    expected = model.config.scaled(model.user_base.detach())
    torch.testing.assert_close(actual[0, :-1].detach(), expected)


def test_a_known_user_is_their_row_features_and_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likelihood_step, "_LONGEST_STEP", 0.0)  # no likelihood step for new users
    data = described()
    model = prepared(data).eval()
    with torch.no_grad():
        model.user_feature.normal_()
    lists = data.interactions.histories()
    whole_user = model.encode_queries(Queries.of_users(np.array([1]), lists))
    features = torch.from_numpy(Features.of(data).users[[1]].toarray())
    new_user = model.encode_queries(Queries(np.array([-1]), lists.take(np.array([1])), features.numpy()))
    with torch.no_grad():
        model.user[1] = 0
    without_row = model.encode_queries(Queries.of_users(np.array([1]), lists))
    torch.testing.assert_close(without_row[:, :-1], new_user[:, :-1])
    assert without_row[0, -1] == 1 < new_user[0, -1]  # popularity counts more for a new user
    assert not torch.allclose(whole_user, new_user)


def test_new_users_take_a_likelihood_step_and_known_users_do_not(board: ts.Dataset) -> None:
    fit = ts.train("two_tower", whole(board), dim=8, epochs=3)
    lists = board.interactions.histories().take(np.arange(20))
    queries = Queries.of_histories(lists)
    with torch.no_grad():
        items, new_user = fit.model.encode_items(), fit.model.encode_queries(queries)
        fit.model.user.zero_()
        known = fit.model.encode_queries(Queries(np.arange(20), lists))
    widths = [width for width, _ in fit.model.config.halves]
    for new, old in zip(new_user[:, :-1].split(widths, 1), known[:, :-1].split(widths, 1), strict=True):
        torch.testing.assert_close(new.norm(dim=1), old.norm(dim=1))
    likely = [
        torch.log_softmax(vectors[:, :-1] @ items[:, :-1].T + items[:, -1], 1)[lists.rows, lists.items].mean()
        for vectors in (new_user, known)
    ]
    assert likely[0] > likely[1]


def test_items_that_nobody_liked_are_their_features_alone() -> None:
    rows = [(u, i) for u in range(4) for i in range(4)]
    kinds = np.array(["a", "b", "a", "b", "a", "b"], dtype=object)
    data = ts.Dataset("new", log(rows, n_items=6), ts.Table({"kind": kinds}))
    model = prepared(data, item_id_dropout=0.0).eval()
    with torch.no_grad():
        model.item_feature.normal_()
        model.feature_bias.normal_()
    known = model.encode_items().detach()
    new = model.encode_items(torch.eye(2)).detach()  # of kind a, of kind b
    names = Features.of(data).names
    torch.testing.assert_close(known[4], new[names.index("kind=a")])
    torch.testing.assert_close(known[5], new[names.index("kind=b")])
    assert not torch.allclose(known[0], new[names.index("kind=a")])


def test_new_items_are_found_by_their_features() -> None:
    """Items 20 and 21 occur in no row; one is of the even users' colour, the other of the odd users'."""
    rows = [(u, i) for u in range(30) for i in range(u % 2, 20, 2)]
    colours = np.array(["even", "odd"], dtype=object)[np.arange(22) % 2]
    data = ts.Dataset("new", log(rows, n_items=22), ts.Table({"colour": colours}))
    fit = ts.train("two_tower", whole(data), dim=8, epochs=60, item_id_dropout=0.3)
    with torch.no_grad():
        scores = fit.model.score(fit.queries(np.arange(30)))
    even, odd = scores[0::2, 20] - scores[0::2, 21], scores[1::2, 20] - scores[1::2, 21]
    assert bool((even > 0).all())
    assert bool((odd < 0).all())


def test_the_model_works_without_any_features() -> None:
    data = ts.Dataset("plain", described().interactions)
    fit = ts.train("two_tower", whole(data), dim=8, epochs=3)
    assert {"user_feature", "item_feature", "feature_bias"} & set(fit.model.state_dict()) == set()


def test_a_temperature_that_is_learnt_moves() -> None:
    fit = ts.train("two_tower", whole(described()), dim=8, epochs=5, learn_temperature=True)
    assert fit.model.get_parameter("log_gain").detach().abs().min() > 0


def test_feedback_unseen_in_training_is_ignored() -> None:
    model = prepared(described()).eval()
    with torch.no_grad():
        model.unliked_item.normal_()
    liked = model.encode_queries(Queries.of_histories(Histories.of([[2]])))
    mixed = model.encode_queries(Queries.of_histories(Histories.of([[2, 3, 5]], [[1, 0, -1]])))
    torch.testing.assert_close(liked, mixed)


def test_dislikes_count_where_training_had_them() -> None:
    model = prepared(described(low=-1)).eval()
    with torch.no_grad():
        model.unliked_item.normal_()
    liked = model.encode_queries(Queries.of_histories(Histories.of([[2]])))
    disliked = model.encode_queries(Queries.of_histories(Histories.of([[2, 5]], [[1, -1]])))
    neutral = model.encode_queries(Queries.of_histories(Histories.of([[2, 5]], [[1, 0]])))
    assert not torch.allclose(liked, disliked)
    torch.testing.assert_close(liked, neutral)


def test_it_is_a_model_that_reads_features() -> None:
    assert [name for name in models.names() if models.get(name).reads_features] == ["two_tower"]


@pytest.mark.parametrize("starts", [[0, 2, 2, 7], [0, 0, 0, 0], [0, 7, 7, 7]])
def test_sums_of_bags_and_their_gradient_are_those_of_their_definition(starts: list[int]) -> None:
    rows = torch.tensor([3, 3, 0, 1, 4, 0, 0])  # an item may be in a bag twice
    bags = Bags(rows, torch.tensor(starts), torch.rand(7))
    table = torch.randn(5, 3, requires_grad=True)
    outer = torch.randn(4, 3)
    whole = torch.zeros(4, 5)  # (B, M)
    for bag, (first, end) in enumerate(zip(starts, [*starts[1:], 7], strict=True)):
        for place in range(first, end):
            whole[bag, rows[place]] += bags.weights[place]
    actual = bags.sum(table)
    (gradient,) = torch.autograd.grad(actual, table, outer)
    torch.testing.assert_close(actual, whole @ table)
    torch.testing.assert_close(gradient, whole.T @ outer)


def test_new_items_have_the_length_of_the_average_item() -> None:
    rows = [(user, item) for user in range(8) for item in range(5) if user >= item]
    kinds = np.array(["a", "b", "a", "b", "a", "b"], dtype=object)
    data = ts.Dataset("new", log(rows, n_items=6), ts.Table({"kind": kinds}))
    model = prepared(data, degree_exponent=0.5, item_id_dropout=0.0).eval()
    with torch.no_grad():
        model.item_feature.normal_()
    norms = model.encode_items().detach()[:, :-1].norm(dim=1)
    new = model.encode_items(torch.eye(2)).detach()[:, :-1].norm(dim=1)
    assert norms[:5].argsort(descending=True).tolist() == [0, 1, 2, 3, 4]  # by positives
    torch.testing.assert_close(norms[5:], new[:1])
    assert float(new[0] / norms[0]) == pytest.approx(
        float((model.item_length.log().mean() - model.item_length[0].log()).exp())
    )
