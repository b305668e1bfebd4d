"""lightgcn on MovieLens 100K: see `claim`."""

from claim import Claim, run

CLAIM = Claim(
    name="ml100k_lightgcn",
    data="ml-100k random-811",
    model="lightgcn",
    k=10,
    settings={},
    must=(0.0, 0.300),
    goal=(0.0, 0.32),
    published="RecBole BPR 0.2502 / 0.2931",
)

if __name__ == "__main__":
    run(CLAIM)
