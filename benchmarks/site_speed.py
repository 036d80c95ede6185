"""What it costs to name the motifs that variants make or break, and how often that happens by chance.

Run ``python -m benchmarks.site_speed``; it takes about half a minute. Random substitutions in a genome of random bases
are scored with an untrained ``baseline``, with no motif, with ten and with all of JASPAR vertebrates, by turns.
"""

from __future__ import annotations

import functools
import os
import tempfile
import time
from pathlib import Path

BASES, VARIANTS, ROUNDS = 1_000_000, 5_000, 5


def main() -> None:
    import numpy as np

    from tfbs import architectures, jaspar, sequences, training
    from tfbs.effects import Judge
    from tfbs.genome import Genome
    from tfbs.sites import Scanner
    from tfbs.variants import Cutter, Frame
    from tfbs.vcf import Record

    random = np.random.RandomState(0)
    codes = random.randint(0, 4, BASES, dtype=np.uint8)
    places, turns = random.randint(1000, BASES - 1000, VARIANTS), random.randint(1, 4, VARIANTS)
    records = [
        Record(0, ["chr1", str(at + 1), ".", "ACGT"[codes[at]], "ACGT"[(codes[at] + turn) % 4]])
        for at, turn in zip(places.tolist(), turns.tolist(), strict=True)
    ]
    training.configure(training.PREDICTED_BASES)
    judge = Judge(
        functools.partial(training.predict_logits, architectures.logit_model(architectures.build("baseline", 50)))
    )
    known = jaspar.database("vertebrates").motifs
    scanners = {count: Scanner(known[:: len(known) // count][:count] if count else ()) for count in (0, 10, len(known))}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TFBS_DATA_DIR"] = folder
        (Path(folder) / "genome.fa").write_text(f">chr1\n{sequences.decode(codes[None])[0]}\n")
        cutter = Cutter(Genome(Path(folder) / "genome.fa"), Frame(50), {"chr1": "chr1"})
        drawn = [effect.delta for _, [effect] in judge.score(records[:1000], cutter.windows)]
        judge, seconds = Judge(judge.predict, np.array(drawn)), {count: [] for count in scanners}
        for _ in range(ROUNDS):
            for count, scanner in scanners.items():
                began = time.perf_counter()
                for _ in scanner.name(judge.score(records, cutter.windows), cutter.around):
                    pass
                seconds[count].append(time.perf_counter() - began)
        print(f"{'motifs':>8}{'variants a second':>20}{'changed by chance':>20}")
        for count, scanner in scanners.items():
            found = scanner.changes([cutter.around(record, 0, scanner.flank) for record in records[:1000]])
            print(f"{count:>8}{VARIANTS / np.median(seconds[count]):>20,.0f}{np.mean(list(map(bool, found))):>20.1%}")


if __name__ == "__main__":
    main()
