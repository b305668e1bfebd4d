"""bert4rec on Amazon Beauty: see `claim`."""

from claim import Claim, run

CLAIM = Claim(
    name="beauty_bert4rec",
    data="beauty",
    model="bert4rec",
    k=10,
    settings={
        "dim": 128,
        "length": 50,
        "blocks_weight": 1.0,
        "dropout": 0.2,
        "temperature": 0.3,
        "seen_temperature": 0.15,
        "learning_rate": 0.003,
        "mask_share": 0.3,
        "last_share": 0.3,
        "epochs": 24,
        "validate_every": 4,
    },
    must=(0.045, 0.024),
    goal=(0.075, 0.042),
    published="BERT4Rec 0.0347 / 0.0170 (S3-Rec paper)",
)

if __name__ == "__main__":
    run(CLAIM)
