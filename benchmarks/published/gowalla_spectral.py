"""spectral on Gowalla: see `claim`."""

from claim import Claim, run

run(
    Claim(
        name="gowalla_spectral",
        data="gowalla",
        model="spectral",
        k=20,
        settings={},
        must=(0.178, 0.149),
        goal=(0.183, 0.154),
        published="GF-CF 0.1849 / 0.1518 (paper)",
    )
)
