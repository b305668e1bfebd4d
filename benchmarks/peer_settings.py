"""Who takes part in the peers benchmark: libraries and their versions, and the settings that each contender tries.

Settings come from the libraries' documentation and the literature; those of ALS, and on MovieLens of implicit's BPR and
lightfm-next, also from a wider search on validation rows. Which of them is used is chosen on validation rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peer_jobs import Environment

Settings = Mapping[str, Any]

IMPLICIT = Environment(
    "implicit", ("implicit==0.7.3", "numpy==2.4.6", "scipy==1.17.1"), (("OPENBLAS_NUM_THREADS", "1"),)
)
LIGHTFM = Environment("lightfm-next", ("lightfm-next==1.19.0", "numpy==2.4.6", "scipy==1.17.1"))
RECBOLE = Environment(
    "recbole",
    ("recbole==1.2.1", "torch==2.13.0", "numpy==1.26.4", "scipy==1.17.1", "pandas==3.0.6", "setuptools<81"),
)
RECTOOLS = Environment(
    "rectools", ("rectools[torch]==0.19.0", "torch==2.13.0", "numpy==1.26.4", "scipy==1.17.1", "pandas==2.3.3")
)
RANX = Environment("ranx", ("ranx==0.3.21", "numpy==2.4.6", "scipy==1.17.1", "pandas==3.1.1"))


@dataclass(frozen=True)
class Kind:
    """How a contender is run; `length` names the setting that says how long it trains, if any does."""

    worker: str
    environment: Environment | None
    length: str | None
    fixed: Settings
    judges: bool = True  # whether its library has an evaluation of its own not yet tried, and the model vectors


KINDS: dict[str, Kind] = {
    "implicit ALS": Kind("implicit_", IMPLICIT, "iterations", {"model": "als"}),
    "implicit BPR": Kind("implicit_", IMPLICIT, "iterations", {"model": "bpr"}, judges=False),  # as for ALS
    "lightfm-next WARP": Kind("lightfm_", LIGHTFM, "epochs", {"loss": "warp"}),
    "RecBole BPR": Kind("recbole_", RECBOLE, "epochs", {"model": "BPR"}),
    "RecBole NeuMF": Kind("recbole_", RECBOLE, "epochs", {"model": "NeuMF"}, judges=False),
    "RecTools SASRec": Kind("rectools_", RECTOOLS, "epochs", {}),
    "mf": Kind("tastespace_", None, "epochs", {"model": "mf"}),
    "mf on likes": Kind("tastespace_", None, "epochs", {"model": "mf", "likes_only": True}),
    "lightgcn": Kind("tastespace_", None, "epochs", {"model": "lightgcn"}),
    "ease": Kind("tastespace_", None, None, {"model": "ease"}),
    "spectral": Kind("tastespace_", None, "dim", {"model": "spectral"}),
}


def als(factors: int, regularization: float, alpha: float, iterations: int = 15) -> Settings:
    """Of implicit's ALS."""
    return {"factors": factors, "regularization": regularization, "alpha": alpha, "iterations": iterations}


def bpr(factors: int, learning_rate: float, regularization: float, iterations: int) -> Settings:
    """Of implicit's BPR."""
    found = {"factors": factors, "learning_rate": learning_rate}
    return {**found, "regularization": regularization, "iterations": iterations}


def warp(no_components: int, learning_rate: float, epochs: int, max_sampled: int = 10, alpha: float = 0.0) -> Settings:
    """Of LightFM's WARP; `alpha` is the L2 on users and items."""
    found = {"no_components": no_components, "learning_rate": learning_rate, "epochs": epochs}
    return {**found, "max_sampled": max_sampled, "user_alpha": alpha, "item_alpha": alpha}


def recbole(epochs: int, learning_rate: float, batch: int = 2048, **more: Any) -> Settings:
    """Of RecBole's models."""
    return {"epochs": epochs, "learning_rate": learning_rate, "train_batch_size": batch, **more}


def sasrec(n_factors: int, epochs: int, batch_size: int, **more: Any) -> Settings:
    """Of RecTools' SASRec; the loss stays its default, softmax over the catalogue."""
    return {"n_factors": n_factors, "epochs": epochs, "batch_size": batch_size, **more}


def gowalla_mf(dim: int, epochs: int, temperature: float = 0.2, learning_rate: float = 0.005) -> Settings:
    """Of our `mf` on a large log of likes: so many epochs, without a search for their number."""
    found = {"dim": dim, "epochs": epochs, "temperature": temperature, "interaction_temperature": temperature}
    found |= {"learning_rate": learning_rate, "final_lr_fraction": 0.05, "batch_size": 7000, "init": "svd"}
    return {**found, "loss": "sampled-softmax", "shared_negatives": 8192, "search": False}


def spectral(dim: int, smoothing: float = 3.0, degree_exponent: float = 0.5) -> Settings:
    """Of our `spectral` on a large log."""
    return {"dim": dim, "smoothing": smoothing, "degree_exponent": degree_exponent, "power_iterations": 4}


def each(name: str, values: Sequence[Any], **fixed: Any) -> list[Settings]:
    """Settings that differ in one value."""
    return [{**fixed, name: value} for value in values]


FOUR_NEGATIVES = {"distribution": "uniform", "sample_num": 4, "dynamic": False, "alpha": 1.0}

# Settings of the trials, in their order. The first is the library's own default, as far as that is for such data.
PEERS: dict[str, dict[str, list[Settings]]] = {
    "ml-100k": {
        "implicit ALS": [
            als(100, 0.01, 1),
            als(16, 1, 4),
            als(32, 30, 4),
            als(64, 30, 4),
            als(32, 60, 10),
            als(64, 60, 10),
            als(64, 60, 10, 30),
            als(128, 60, 10),
        ],
        "implicit BPR": [
            bpr(100, 0.01, 0.01, 100),
            bpr(64, 0.003, 0.0, 200),
            bpr(64, 0.003, 0.001, 200),
            bpr(128, 0.003, 0.0, 200),
            bpr(64, 0.003, 0.0, 300),
            bpr(64, 0.01, 0.0, 50),
            bpr(32, 0.003, 0.0, 200),
            bpr(16, 0.005, 0.01, 100),
        ],
        "lightfm-next WARP": [
            warp(10, 0.05, 50),
            warp(64, 0.02, 30, 50),
            warp(64, 0.02, 60),
            warp(64, 0.02, 60, 50),
            warp(64, 0.02, 60, 10, 1e-5),
            warp(32, 0.02, 60, 50),
            warp(128, 0.02, 30, 10, 1e-5),
            warp(128, 0.02, 60, 10, 1e-5),
        ],
        "RecBole BPR": [
            recbole(300, 0.001, embedding_size=64),
            recbole(100, 0.001, embedding_size=64),
            recbole(200, 0.001, embedding_size=64),
            recbole(50, 0.003, embedding_size=64),
            recbole(100, 0.003, embedding_size=64),
            recbole(200, 0.0005, embedding_size=64),
            recbole(100, 0.001, embedding_size=128),
            recbole(100, 0.001, embedding_size=64, weight_decay=1e-5),
        ],
        "RecBole NeuMF": [
            recbole(20, 0.001),
            recbole(40, 0.001),
            recbole(80, 0.001),
            recbole(40, 0.0005),
            recbole(80, 0.0005),
            recbole(40, 0.001, dropout_prob=0.3),
            recbole(40, 0.001, mlp_hidden_size=[64, 32, 16]),
            recbole(40, 0.001, train_neg_sample_args=FOUR_NEGATIVES),
        ],
        "RecTools SASRec": [
            sasrec(256, 10, 128),
            sasrec(64, 30, 128),
            sasrec(64, 15, 128),
            sasrec(64, 8, 128),
            sasrec(64, 4, 128),
            sasrec(64, 15, 32),
            sasrec(128, 8, 128),
            sasrec(64, 8, 128, dropout_rate=0.5),
        ],
    },
    "gowalla": {
        "implicit ALS": [
            als(100, 0.01, 1),
            als(128, 100, 40),
            als(256, 30, 20),
            als(256, 100, 40),
            als(128, 1, 10),
            als(256, 10, 10),
            als(256, 200, 100),
            als(256, 100, 40, 30),
        ],
        "implicit BPR": [
            bpr(100, 0.01, 0.01, 100),
            bpr(64, 0.003, 0.0, 200),
            bpr(128, 0.003, 0.0, 300),
            bpr(64, 0.01, 0.0, 50),
            bpr(64, 0.05, 0.01, 100),
            bpr(128, 0.05, 0.001, 100),
            bpr(128, 0.02, 0.001, 200),
            bpr(256, 0.003, 0.001, 200),
        ],
        "lightfm-next WARP": [
            warp(10, 0.05, 30),
            warp(64, 0.05, 30),
            warp(128, 0.05, 30),
            warp(64, 0.05, 30, 50),
            warp(64, 0.02, 30),
            warp(64, 0.05, 60),
            warp(128, 0.05, 30, 50),
            warp(64, 0.05, 30, 50, 1e-6),
        ],
        "RecBole BPR": [
            recbole(20, 0.001, 8192, embedding_size=64),
            recbole(40, 0.001, 8192, embedding_size=64),
            recbole(20, 0.003, 8192, embedding_size=64),
            recbole(40, 0.003, 8192, embedding_size=64),
            recbole(20, 0.005, 8192, embedding_size=64),
            recbole(40, 0.002, 4096, embedding_size=64),
            recbole(20, 0.002, 8192, embedding_size=128),
            recbole(40, 0.003, 8192, embedding_size=64, weight_decay=1e-6),
        ],
        "RecBole NeuMF": [
            recbole(10, 0.001, 8192),
            recbole(5, 0.001, 8192),
            recbole(20, 0.001, 8192),
            recbole(40, 0.001, 8192),
            recbole(10, 0.0005, 8192),
            recbole(20, 0.0005, 8192),
            recbole(10, 0.001, 8192, dropout_prob=0.3),
            recbole(10, 0.001, 8192, mlp_hidden_size=[64, 32, 16]),
        ],
    },
}

OURS: dict[str, dict[str, list[Settings]]] = {
    "ml-100k": {
        "mf": [
            {},
            {"dim": 128},
            {"dim": 32},
            {"temperature": 0.8},
            {"temperature": 1.6},
            {"interaction_weight": 0.25},
            {"interaction_weight": 1.0},
            {"learning_rate": 0.03},
        ],
        "mf on likes": [
            {},
            {"dim": 128},
            {"temperature": 0.8},
            {"interaction_weight": 0.0},
            {"interaction_weight": 0.0, "temperature": 0.35},
            {"interaction_weight": 0.0, "temperature": 0.5},
            {"interaction_weight": 0.0, "temperature": 0.5, "dim": 128},
            {"learning_rate": 0.03},
        ],
        "lightgcn": [
            {},
            {"layers": 1},
            {"layers": 2},
            {"layers": 4},
            {"dim": 128},
            {"temperature": 0.8},
            {"learning_rate": 0.03},
            {"layer_l2": 0.001},
        ],
        "ease": each("l2", [200.0, 50.0, 100.0, 150.0, 300.0, 400.0, 600.0, 1000.0]),
    },
    "gowalla": {
        "mf": [
            gowalla_mf(64, 8),
            gowalla_mf(128, 8),
            gowalla_mf(256, 4),
            gowalla_mf(256, 8),
            gowalla_mf(256, 8, 0.15),
            gowalla_mf(256, 8, 0.3),
            gowalla_mf(256, 8, 0.2, 0.002),
            gowalla_mf(384, 6),
        ],
        "spectral": [
            spectral(128),
            spectral(256),
            spectral(512),
            spectral(768),
            spectral(64),
            spectral(512, 0.0),
            spectral(512, 10.0),
            spectral(512, 3.0, 0.6),
        ],
    },
}
NOT_ASKED: dict[str, dict[str, str]] = {
    "ml-100k": {},
    "gowalla": {"RecTools SASRec": "a model of sequences, and Gowalla's rows carry no order"},
}
