"""bert4rec on Amazon Beauty: see `claim`."""

from claim import ON_BEAUTY, Claim, run

CLAIM = Claim(
    name="beauty_bert4rec",
    data="beauty",
    model="bert4rec",
    k=10,
    settings={
        **ON_BEAUTY,
        "mask_prob": 0.3,
        "last_item_mask_prob": 0.3,
        "epochs": 24,
        "validate_every": 4,
    },
    must=(0.045, 0.024),
    goal=(0.075, 0.042),
    published="BERT4Rec 0.0347 / 0.0170 (S3-Rec paper)",
)

if __name__ == "__main__":
    run(CLAIM)
