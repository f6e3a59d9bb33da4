"""Sentences whose rows are looked up privately in one session, through the rest of MiniLM in the clear.

python examples/sentence.py ["A sentence of your own." ...]

The server holds MiniLM's table, 30522 x 384, quantised to 4 and 3 bits a channel. The client looks a sentence's tokens
up together, the next sentence's under the same keys. Here both parties' shares are opened, so that the model's layers
need no protocol of their own; the embedding is then compared with the float model's.
"""

from __future__ import annotations

import sys

import fastquery as fq
from quantize.minilm import MiniLM

SENTENCES = ("The patient asks what the diagnosis means.", "The ferry leaves the island at seven.")
LEAST_COSINE = 0.9


def main(sentences: list[str]) -> int:
    """Look every sentence up, embed it, and print the cosine to the float model's embedding."""
    model = MiniLM.load()
    batches = [model.tokenize([sentence]) for sentence in sentences]
    cosines = []
    most = max(len(batch.ids) for batch in batches)
    with fq.Server("minilm", protocol="folded") as server, fq.connect(server.address, tokens=most) as session:
        shares = server.shares()
        for sentence, batch in zip(sentences, batches, strict=True):
            mine = session.lookup(batch.ids)
            rows = fq.open(mine, next(shares))
            private, own = model.embed(batch, rows)[0], model.embed(batch, model.word_embeddings[batch.ids])[0]
            cosines.append(float(private @ own))
            print(f"lookup {mine.lookup}: {len(mine)} tokens, cosine {cosines[-1]:.4f} to the float model: {sentence}")
        print(f"{session.setup_bytes:,} bytes of the client's for the session, once")
    return 0 if min(cosines) > LEAST_COSINE else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(SENTENCES)))
