"""mf on Gowalla: see `claim`."""

from claim import ON_GOWALLA, Claim, run

CLAIM = Claim(
    name="gowalla_mf",
    data="gowalla",
    model="mf",
    k=20,
    settings={
        **ON_GOWALLA,
        "learning_rate": 0.005,
        "batch_size": 7000,
        "epochs": 8,
    },
    must=(0.160, 0.135),
    goal=(0.187, 0.158),
    published="MF-BPR, 300 negatives: 0.1627 / 0.1378; SimpleX 0.1872 / 0.1557; UltraGCN 0.1862 / 0.1580 (BARS)",
)

if __name__ == "__main__":
    run(CLAIM)
