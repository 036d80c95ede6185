"""Variants scored a second, and the memory it takes, for files of different length.

Run ``python -m benchmarks.variant_speed``; it takes about a minute. A genome of random bases and VCF files of random
substitutions are written once. Each file is read, scored with an untrained network (``--arch``; its weights do not
change the time) over both strands and five shifts, and written again with its INFO fields, in a process of its own; it
is charged from the first line read to the last line written, with the peak of the process's memory.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KILOBYTES = 1 if platform.system() == "Linux" else 1024
BASES = 10_000_000


def write(folder: Path, sizes: list[int]) -> None:
    """Write the genome and a VCF of each size."""
    import numpy as np

    from tfbs import sequences

    random = np.random.RandomState(0)
    codes = random.randint(0, 4, BASES, dtype=np.uint8)
    (folder / "genome.fa").write_text(f">chr1\n{sequences.decode(codes[None])[0]}\n")
    for size in sizes:
        places = np.sort(random.randint(1000, BASES - 1000, size))
        with (folder / f"{size}.vcf").open("w") as out:
            out.write("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
            for place, turn in zip(places, random.randint(1, 4, size), strict=True):
                ref, alt = "ACGT"[codes[place]], "ACGT"[(codes[place] + turn) % 4]
                out.write(f"chr1\t{place + 1}\t.\t{ref}\t{alt}\t.\t.\t.\n")


def inside(folder: Path, size: int, arch: str, length: int) -> dict[str, float]:
    """Score one file and say how long it took and what it needed."""
    from tfbs import architectures, training
    from tfbs.effects import Judge, Tally
    from tfbs.genome import Genome
    from tfbs.variants import Cutter, Frame
    from tfbs.vcf import Vcf

    training.configure(training.PREDICTED_BASES)
    model = architectures.logit_model(architectures.build(arch, length))
    judge = Judge(functools.partial(training.predict_logits, model))
    cutter, tally = Cutter(Genome(folder / "genome.fa"), Frame(length), {"chr1": "chr1"}), Tally()
    vcf = Vcf(folder / f"{size}.vcf")
    began = time.perf_counter()
    with vcf.copy(folder / f"{size}.out.vcf", []) as put:
        for record, [effect] in judge.score(vcf.records(), cutter.windows):
            put(record.text({"TFBS_DELTA": f"{effect.delta:.4g}"}))
            tally.add(record, effect)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KILOBYTES / 1024
    return {"seconds": seconds, "peak": peak, "scored": tally.scored}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="1000,100000")
    parser.add_argument("--arch", default="baseline")
    parser.add_argument("--length", type=int, default=50)
    parser.add_argument("--inside", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        folder, size = options.inside
        print(json.dumps(inside(Path(folder), int(size), options.arch, options.length)))
        return
    sizes = [int(size) for size in options.sizes.split(",")]
    print(f"{options.arch} on {options.length} bp, Python {platform.python_version()}, {os.cpu_count()} cores")
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), sizes)
        print(f"{'variants':>10}{'seconds':>10}{'a second':>10}{'peak MB':>10}")
        for size in sizes:
            command = [sys.executable, "-m", "benchmarks.variant_speed", "--arch", options.arch]
            command += ["--length", str(options.length), "--inside", folder, str(size)]
            environment = {**os.environ, "TFBS_DATA_DIR": folder}
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            if done.returncode:
                sys.exit(done.stderr)
            found = json.loads(done.stdout.splitlines()[-1])
            if found["scored"] != size:
                sys.exit(f"expected {size} scored variants, received {found['scored']}")
            rate = size / found["seconds"]
            print(f"{size:>10,}{found['seconds']:>10.1f}{rate:>10,.0f}{found['peak']:>10,.0f}")
    print(f"load of the machine over the last minute: {before:.1f} before, {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
