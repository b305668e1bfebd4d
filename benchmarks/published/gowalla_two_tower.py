"""two_tower on Gowalla: see `claim`."""

from claim import Claim, run

run(
    Claim(
        name="gowalla_two_tower",
        data="gowalla",
        model="two_tower",
        k=20,
        settings={},
        must=(0.160, 0.135),
        goal=(0.180, 0.150),
        published="YoutubeDNN with 800 negatives 0.1754 / 0.1473 (BARS)",
    )
)
