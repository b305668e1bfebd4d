"""spectral on Gowalla: see `claim`."""

from claim import Claim, run

CLAIM = Claim(
    name="gowalla_spectral",
    data="gowalla",
    model="spectral",
    k=20,
    settings={
        "dim": 512,
        "smoothing": 3.0,
        "power_iterations": 4,
    },
    must=(0.178, 0.149),
    goal=(0.183, 0.154),
    published="EASE 0.1765 / 0.1467 (BARS)",
)

if __name__ == "__main__":
    run(CLAIM)
