"""NCF: its two paths, what joins them, and ranking that stays exact."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import tastespace as ts
from tastespace.data.queries import Queries
from tastespace.data.split import whole
from tastespace.data.synthetic import checkerboard
from tastespace.models import ncf
from tastespace.models.base import Shapes
from tastespace.models.ncf import NCF, NCFConfig
from tests.build import dataset

LOSSES = ["softmax", "sampled-softmax", "bpr", "bce", "gbce"]


def made(**settings: object) -> NCF:
    torch.manual_seed(0)
    model = NCF(NCFConfig(dim=8, **settings), Shapes(5, 7))  # type: ignore[arg-type]
    model.prepare(dataset([(u, i) for u in range(5) for i in range(7) if (u + i) % 2], n_items=7).interactions)
    return model.eval()


def everyone() -> Queries:
    rows = dataset([(u, i) for u in range(5) for i in range(7) if (u + i) % 2], n_items=7).interactions
    return Queries.of_users(np.arange(5), rows.histories())


@pytest.mark.parametrize("loss", ["bce", "softmax"])
def test_the_score_is_that_of_the_joined_pair(loss: str) -> None:
    """Pair after pair, with the first layer over the two vectors side by side, as the paper draws it."""
    model = made(loss=loss, temperature=1.2, interaction_temperature=0.45)
    with torch.no_grad():
        model.item_bias.normal_()
        model.mlp_gate.fill_(0.7)
        actual = model.score(everyone())
        first = torch.cat([model.from_user.weight, model.from_item.weight], dim=1)  # (64, 8)
        for user in range(5):
            for item in range(7):
                ours, theirs = model.user[user], model.item[item]
                inputs = [F.normalize(half[4:], dim=0) * 2 for half in (ours, theirs)]
                hidden = F.relu(first @ torch.cat(inputs) + model.from_user.bias)
                for layer in model.layers:
                    hidden = F.relu(layer(hidden))
                output = model.output.weight[0]
                if loss == "bce":
                    expected = (ours[:4] * theirs[:4] * model.product).sum() + output @ hidden
                else:
                    halves = (slice(0, 2), 0.45), (slice(2, 4), 1.2)
                    weights = [F.normalize(model.product[half], dim=0) * 2**0.5 for half, _ in halves]
                    expected = sum(
                        (weight * F.normalize(ours[half], dim=0) * F.normalize(theirs[half], dim=0)).sum()
                        * (model.item_length[item] / temperature)
                        for weight, (half, temperature) in zip(weights, halves, strict=True)
                    )
                    expected = expected + 0.7 * 0.3 / 1.2 * F.cosine_similarity(hidden, output, dim=0)
                torch.testing.assert_close(actual[user, item], expected + model.item_bias[item], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("paths", ["gmf", "mlp", "both"])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_path_and_loss_trains(paths: str, loss: str) -> None:
    on = whole(checkerboard())
    fit = ts.train("ncf", on, baselines=False, search=False, dim=8, epochs=5, refit=False, paths=paths, loss=loss)
    assert fit.history[-1].loss < fit.history[0].loss


def test_paths_that_are_left_out_have_no_weights() -> None:
    assert not {"from_user.weight", "output.weight"} & set(made(paths="gmf").state_dict())
    assert "product" not in made(paths="mlp").state_dict()


@pytest.mark.parametrize("loss", ["bce", "softmax"])
def test_a_joint_model_starts_from_half_of_each_path(loss: str) -> None:
    rows = dataset([(u, i) for u in range(5) for i in range(7) if (u + i) % 2], n_items=7).interactions
    model = made(pretrain=True, pretrain_epochs=2, loss=loss)
    before = (made(pretrain=True, pretrain_epochs=2, loss=loss).score(everyone()) + model.item_bias) / 2
    for _ in range(2):
        list(model.batches(rows, np.random.default_rng(0), 100))  # epochs pass, weights stay
    torch.testing.assert_close(model.score(everyone()), before)
    list(model.batches(rows, np.random.default_rng(0), 100))
    torch.testing.assert_close(model.score(everyone()), before)


def test_paths_are_first_trained_by_themselves() -> None:
    rows = dataset([(u, i) for u in range(5) for i in range(7) if (u + i) % 2], n_items=7).interactions
    model = made(pretrain=True, pretrain_epochs=1).train()
    batch = next(model.batches(rows, np.random.default_rng(0), 100))
    apart = model.loss(batch)
    alone = [made(paths="gmf").train(), made(paths="mlp").train()]
    for path in alone:
        path.load_state_dict(model.state_dict(), strict=False)
    torch.testing.assert_close(apart, alone[0].loss(batch) + alone[1].loss(batch))


def test_a_peek_at_a_batch_is_no_epoch() -> None:
    rows = dataset([(u, i) for u in range(5) for i in range(7) if (u + i) % 2], n_items=7).interactions
    model = made()
    next(model.batches(rows, np.random.default_rng(0), 2))
    assert int(model.epoch) == 0


@pytest.mark.parametrize("cells", [1, 10**4])
def test_how_many_pairs_are_scored_at_a_time_changes_nothing(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = made().score(everyone())
    monkeypatch.setattr(ncf, "_PAIR_BYTES", cells)
    torch.testing.assert_close(made().score(everyone()), expected)


@pytest.mark.parametrize("shortlist", [1, 3, 7, 100])
def test_a_shortlist_is_reranked_and_stands_above_the_rest(shortlist: int) -> None:
    model, short = made(), made(shortlist=shortlist)
    exact, actual = model.score(everyone()), short.score(everyone())
    rough = made(paths="gmf")
    rough.load_state_dict(model.state_dict(), strict=False)
    chosen = rough.score(everyone()).topk(min(shortlist, 7), dim=1).indices
    torch.testing.assert_close(actual.gather(1, chosen), exact.gather(1, chosen))
    remaining = torch.ones_like(actual, dtype=torch.bool).scatter(1, chosen, False)
    for user in range(5):
        assert not remaining[user].any() or actual[user][remaining[user]].max() < actual[user][chosen[user]].min()


def test_a_shortlist_finds_nearly_what_the_whole_catalogue_does() -> None:
    on = ts.split(checkerboard(), "article")
    fit = ts.train("ncf", on, baselines=False, search=False, dim=8, epochs=10, refit=False)
    exact = fit.model.score(fit.queries(np.arange(40))).topk(10, dim=1).indices
    fit.model.config = replace(fit.model.config, shortlist=40)
    short = fit.model.score(fit.queries(np.arange(40))).topk(10, dim=1).indices
    shared = [len(set(a) & set(b)) for a, b in zip(exact.tolist(), short.tolist(), strict=True)]
    assert np.mean(shared) > 9


@pytest.mark.parametrize("loss", ["sampled-softmax", "bpr", "bce"])
def test_a_catalogue_smaller_than_the_number_of_negatives(loss: str) -> None:
    on = whole(dataset([(0, 0), (0, 1), (1, 1), (2, 2)]))
    fit = ts.train("ncf", on, dim=4, epochs=2, loss=loss, negatives=40, shared_negatives=500)
    assert torch.isfinite(fit.model.score(fit.queries(np.arange(3)))).all()


def test_a_batch_of_one_and_of_none() -> None:
    model = made()
    assert model.score(everyone().take(np.array([3]))).shape == (1, 7)
    assert model.score(everyone().take(np.array([], dtype=np.int64))).shape == (0, 7)


def test_probabilities_only_where_trained_as_such() -> None:
    assert [made(loss=loss).sigmoid for loss in LOSSES] == [False, False, False, True, True]


def test_the_network_adds_next_to_nothing_before_training() -> None:
    model = made(loss="softmax", temperature=0.5)
    with torch.no_grad():
        scores = model.score(everyone())
        model.mlp_gate.zero_()
        alone = model.score(everyone())
    assert 0 < float((scores - alone).abs().max()) < 0.05 * float(alone.std())
