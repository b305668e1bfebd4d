"""RecBole: BPR and NeuMF. It learns from likes alone.

Its own splitting is not used: the rows are handed over as a ready split, in which one training row stands in for test
rows where there are none.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from job import Job, Judgement, Rows, Vectors, Worker

warnings.filterwarnings("ignore")

from recbole.config import Config  # noqa: E402  (warns of its own dependencies at import)
from recbole.data import create_dataset, data_preparation  # noqa: E402
from recbole.data.interaction import Interaction  # noqa: E402
from recbole.trainer import Trainer  # noqa: E402
from recbole.utils import get_model, init_seed  # noqa: E402

_PAIRS = 2**17  # scored together


def write_atomic(rows: Rows, file: Path) -> None:
    """Likes in the library's own format of files."""
    pairs = zip(rows.user.tolist(), rows.item.tolist(), strict=True)
    file.write_text("user_id:token\titem_id:token\n" + "".join(f"{user}\t{item}\n" for user, item in pairs))


def configured(job: Job, model: str, settings: Mapping[str, Any]) -> Config:
    """Full ranking at the job's K, on the processor, with files in the working folder."""
    return Config(
        model=model,
        dataset="log",
        config_dict={
            **settings,
            "seed": job.seed,
            "use_gpu": False,
            "data_path": str(Path.cwd()),
            "checkpoint_dir": str(Path.cwd() / "saved"),
            "benchmark_filename": ["train", "valid", "test"],
            "load_col": {"inter": ["user_id", "item_id"]},
            "USER_ID_FIELD": "user_id",
            "ITEM_ID_FIELD": "item_id",
            "metrics": ["NDCG", "Recall"],
            "valid_metric": f"NDCG@{job.k}",
            "topk": [job.k],
            "metric_decimal_place": 7,
            "state": "ERROR",
            "show_progress": False,
        },
    )


def fit(job: Job) -> Any:
    """A model with its trainer and data."""
    settings = dict(job.settings)
    name = settings.pop("model")
    likes = job.train.likes()
    stand_in = Rows(likes.user[:1], likes.item[:1], likes.weight[:1], None)
    folder = Path("log")
    folder.mkdir(exist_ok=True)
    write_atomic(likes, folder / "log.train.inter")
    write_atomic(stand_in, folder / "log.valid.inter")
    write_atomic(stand_in if job.test is None else job.test.likes(), folder / "log.test.inter")
    config = configured(job, name, settings)
    init_seed(job.seed, reproducibility=True)
    dataset = create_dataset(config)
    train, _, test = data_preparation(config, dataset)
    model = get_model(name)(config, train.dataset)
    trainer = Trainer(config, model)
    trainer.fit(train, saved=False, show_progress=False)
    return SimpleNamespace(model=model.eval(), trainer=trainer, dataset=dataset, test=test)


def places(job: Job, fitted: Any) -> tuple[np.ndarray, np.ndarray]:
    """The library's number of every user (U,) and item (N,), 0 for those that it does not know."""
    dataset = fitted.dataset
    found = []
    for field, n in ((dataset.uid_field, job.shape[0]), (dataset.iid_field, job.shape[1])):
        place = np.zeros(n, dtype=np.int64)
        tokens = dataset.field2id_token[field]
        place[[int(token) for token in tokens[1:]]] = np.arange(1, len(tokens))
        found.append(place)
    return found[0], found[1]


def scores(fitted: Any, users: np.ndarray) -> torch.Tensor:
    """(B, its items) by its full-sort prediction, else pair by pair."""
    model, dataset = fitted.model, fitted.dataset
    asked = Interaction({dataset.uid_field: torch.from_numpy(users)})
    try:
        found = model.full_sort_predict(asked)
    except NotImplementedError:
        asked = asked.repeat_interleave(dataset.item_num)
        asked.update(dataset.get_item_feature().repeat(len(users)))
        found = model.predict(asked)
    return found.view(-1, dataset.item_num)


@torch.no_grad()
def top(job: Job, fitted: Any) -> np.ndarray:
    """(R, K) the largest scores, -1 for users of whom it knows nothing."""
    user_place, item_place = places(job, fitted)
    item_of = np.zeros(fitted.dataset.item_num, dtype=np.int64)
    item_of[item_place] = np.arange(len(item_place))
    likes = job.train.likes()
    best = np.full((len(job.ask), job.k), -1, dtype=np.int64)
    rows = np.flatnonzero(user_place[job.ask])
    at_once = max(1, _PAIRS // fitted.dataset.item_num)
    order = np.argsort(likes.user, kind="stable")
    starts = np.searchsorted(likes.user[order], np.arange(job.shape[0] + 1))
    for start in range(0, len(rows), at_once):
        part = rows[start : start + at_once]
        found = scores(fitted, user_place[job.ask[part]])
        found[:, 0] = -torch.inf  # the padding
        for row, user in enumerate(job.ask[part]):
            found[row, item_place[likes.item[order[starts[user] : starts[user + 1]]]]] = -torch.inf
        best[part] = item_of[torch.topk(found, job.k).indices.numpy()]
    return best


def judge(job: Job, fitted: Any) -> Judgement:
    """The evaluation of its trainer."""

    def run() -> Mapping[str, float]:
        found = fitted.trainer.evaluate(fitted.test, load_best_model=False, show_progress=False)
        return {name.partition("@")[0]: float(value) for name, value in found.items()}

    return Judgement("recbole Trainer.evaluate", run)


def vectors(job: Job, fitted: Any) -> Vectors:
    """The embeddings of its BPR model; zeros for whom and what it does not know."""
    user_place, item_place = places(job, fitted)
    users, items = (
        table.weight.numpy(force=True) for table in (fitted.model.user_embedding, fitted.model.item_embedding)
    )
    known = item_place > 0
    return Vectors(users[user_place[job.ask]], items[item_place] * known[:, None])


if __name__ == "__main__":
    Worker(fit, top, judge, vectors).run()
