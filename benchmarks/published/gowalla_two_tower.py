"""two_tower on Gowalla: see `claim`."""

from claim import ON_GOWALLA, Claim, run

CLAIM = Claim(
    name="gowalla_two_tower",
    data="gowalla",
    model="two_tower",
    k=20,
    settings={
        **ON_GOWALLA,
        "learning_rate": 0.003,
        "batch_size": 7000,
        "epochs": 6,
    },
    must=(0.160, 0.135),
    goal=(0.180, 0.150),
    published="YoutubeDNN with 800 negatives 0.1754 / 0.1473 (BARS)",
)

if __name__ == "__main__":
    run(CLAIM)
