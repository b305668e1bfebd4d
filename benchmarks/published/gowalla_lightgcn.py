"""lightgcn on Gowalla: see `claim`."""

from claim import Claim, run

run(
    Claim(
        name="gowalla_lightgcn",
        data="gowalla",
        model="lightgcn",
        k=20,
        settings={},
        must=(0.168, 0.142),
        goal=(0.190, 0.160),
        published="LightGCN 0.1830 / 0.1554 (paper)",
    )
)
