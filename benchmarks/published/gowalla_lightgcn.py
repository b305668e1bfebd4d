"""lightgcn on Gowalla: see `claim`."""

from claim import Claim, run

CLAIM = Claim(
    name="gowalla_lightgcn",
    data="gowalla",
    model="lightgcn",
    k=20,
    settings={
        "dim": 256,
        "start": "spectrum",
        "loss": "sampled-softmax",
        "candidates": 8192,
        "temperature": 0.2,
        "seen_temperature": 0.2,
        "layers": 2,
        "learning_rate": 0.005,
        "final_rate": 0.05,
        "batch_size": 20000,
        "epochs": 6,
        "validate_every": 2,
        "metric": "recall@20",
    },
    must=(0.168, 0.142),
    goal=(0.190, 0.160),
    published="LightGCN 0.1830 / 0.1554 (paper)",
)

if __name__ == "__main__":
    run(CLAIM)
