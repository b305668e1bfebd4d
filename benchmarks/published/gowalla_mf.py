"""mf on Gowalla: see `claim`."""

from claim import Claim, run

run(
    Claim(
        name="gowalla_mf",
        data="gowalla",
        model="mf",
        k=20,
        settings={},
        must=(0.160, 0.135),
        goal=(0.187, 0.158),
        published="MF-BPR with 300 negatives 0.1627 / 0.1378, SimpleX 0.1872 / 0.1557, UltraGCN 0.1862 / 0.1580 (BARS)",
    )
)
