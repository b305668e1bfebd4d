"""bert4rec on Amazon Beauty: see `claim`."""

from claim import Claim, run

run(
    Claim(
        name="beauty_bert4rec",
        data="beauty",
        model="bert4rec",
        k=10,
        settings={},
        must=(0.045, 0.024),
        goal=(0.075, 0.042),
        published="BERT4Rec 0.0347 / 0.0170 (S3-Rec paper)",
    )
)
