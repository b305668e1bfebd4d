"""lightgcn on Gowalla: see `claim`."""

from claim import ON_GOWALLA, Claim, run

CLAIM = Claim(
    name="gowalla_lightgcn",
    data="gowalla",
    model="lightgcn",
    k=20,
    settings={
        **ON_GOWALLA,
        "layers": 2,
        "learning_rate": 0.005,
        "batch_size": 20000,
        "epochs": 6,
    },
    must=(0.168, 0.142),
    goal=(0.190, 0.160),
    published="LightGCN 0.1830 / 0.1554 (paper)",
)

if __name__ == "__main__":
    run(CLAIM)
