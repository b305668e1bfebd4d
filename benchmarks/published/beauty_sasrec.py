"""sasrec on Amazon Beauty: see `claim`."""

from claim import ON_BEAUTY, Claim, run

CLAIM = Claim(
    name="beauty_sasrec",
    data="beauty",
    model="sasrec",
    k=10,
    settings={
        **ON_BEAUTY,
        "epochs": 12,
        "validate_every": 2,
    },
    must=(0.080, 0.046),
    goal=(0.093, 0.053),
    published="SASRec 0.0605 / 0.0318 (S3-Rec paper), with sampled softmax 0.0921 / 0.0531",
)

if __name__ == "__main__":
    run(CLAIM)
