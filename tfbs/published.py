"""The published data sets: where each of their files lies, at which commit, and the SHA-256 it must have.

Files are downloaded from a pinned commit, verified and cached; the environment variable ``TFBS_DATA_DIR`` replaces the
cache folder, and files that lie there already are used without a network.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .errors import DataError

_GITHUB = "https://raw.githubusercontent.com"


@dataclass(frozen=True)
class File:
    """A file below the cache folder, the address it comes from, and its SHA-256 (hex)."""

    path: str
    url: str
    sha256: str


@dataclass(frozen=True)
class Published:
    """Simulated sequences with a known motif: a pinned address, its files with their SHA-256, and the motif.

    The split of these sets is published too, by position; so they are never cleaned.
    """

    url: str
    sequences: tuple[str, str]
    labels: tuple[str, str]
    motif: str
    labels_header: bool = False


@dataclass(frozen=True)
class Member:
    """One file of a benchmark: its part, and the class of all its sequences (None: the file has a label column)."""

    file: File
    part: str
    label: int | None = None


@dataclass(frozen=True)
class Benchmark:
    """Files that make up train, validation and test, and where training negatives come from if there are none."""

    members: tuple[Member, ...]
    negatives: str = ""


@dataclass(frozen=True)
class Places:
    """Binding events on a genome: peaks (BED), the genome (FASTA) and regions to keep clear of (BED)."""

    peaks: File
    genome: File
    blacklist: File


PUBLISHED = {
    "packt": Published(
        f"{_GITHUB}/PacktPublishing/Deep-Learning-for-Genomics-/cfaf01b111ea65094829876a80d9dfcf2d17fb1d/Chapter10/",
        ("sequences_mod.txt", "5d041b9ca5fc1a71de5114b5a3fee8ea0840d26b36fea5620b0d7ba9f1e6c342"),
        ("labels.txt", "5b649532480f4af8c6d9530d6202aef8e26e06c4443f25fd03a27d7d405eb7a4"),
        motif="AAAGAGGAAGTT",
        labels_header=True,
    ),
    "primer": Published(
        f"{_GITHUB}/abidlabs/deep-learning-genomics-primer/30caa5426ab2d588dad710898a6651aad6fddc5f/",
        ("sequences.txt", "8d9156486cf383cf04470395961970db80203689e6368c393e854aaef2268fbd"),
        ("labels.txt", "912af2e66b139c7f1762b7df513f675d4631eb9c280ba73c08d8135f1a4e5d6a"),
        motif="CGACCGAACTCC",
    ),
}
"""Simulated sequences of Zou et al., "A primer on deep learning in genomics", Nature Genetics 51, 12-18 (2019)."""

_LSGKM = f"{_GITHUB}/Dongwon-Lee/lsgkm/d7ef90f7cb326b190619c51a13843da48c99e239/tests/"
_DEEPBIND = f"{_GITHUB}/jisraeli/DeepBind/a9bbf5ffcdf62f2832b0bbdede43a36f4dc19426/data/encode/"
_GUE = f"{_GITHUB}/wds-seu/DeepGene/486343e5212361d6cd7ed03c624f430ed3d5f02e/data/GUE/tf/"
_ROSSI = f"{_GITHUB}/CEGRcode/2021-Rossi_Nature/650fd9e7fa4142580b31440323de5d3748c9e71b/"
_PAUNY = f"{_GITHUB}/W-L/pauNy/0947735fef078d929eae9f84b5c5a32b8d3fe24b/data/"


def _nfe2(kind: str, part: str, label: int, sha256: str) -> Member:
    name = f"wgEncodeSydhTfbsGm12878Nfe2hStdAlnRep0.{kind}.fa"
    return Member(File(f"nfe2/{name}", _LSGKM + name, sha256), part, label)


def _deepbind(experiment: str, train: str, test: str) -> Benchmark:
    files = [
        File(f"deepbind/{experiment}_{half}.seq.gz", f"{_DEEPBIND}{experiment}_{half}.seq.gz", sha256)
        for half, sha256 in (("AC", train), ("B", test))
    ]
    return Benchmark((Member(files[0], "train"), Member(files[1], "test")), negatives="shuffle")


def _gue(number: int, train: str, validation: str, test: str) -> Benchmark:
    kinds = (("train", "train", train), ("dev", "validation", validation), ("test", "test", test))
    return Benchmark(
        tuple(
            Member(File(f"gue/{number}/{kind}.csv", f"{_GUE}{number}/{kind}.csv", sha256), part)
            for kind, part, sha256 in kinds
        )
    )


def _yeast(factor: str, peaks: str) -> Places:
    return Places(
        File(f"yeast/peaks/{factor}_CX.bed", f"{_ROSSI}04_ChExMix_Peaks/{factor}_CX.bed", peaks),
        _YEAST_GENOME,
        _YEAST_BLACKLIST,
    )


_YEAST_GENOME = File(
    "yeast/Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz",
    f"{_PAUNY}Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz",
    "862bf7f350552bbea0e206c43c188b3fcff2223194850b6202f72f2594e067c8",
)
_YEAST_BLACKLIST = File(
    "yeast/blacklist.bed",
    f"{_ROSSI}02_References_and_Features_Files/ChExMix_Peak_Filter_List_190612.bed",
    "0dde501e5c4b9dd881479441bb1fa895a55144a249201a23759eff2df25b5e6f",
)
BENCHMARKS = {
    "nfe2": Benchmark(
        (
            _nfe2("tr", "train", 1, "c24fc6067e907d6a04ebf24c08e9ce1baf9398f209b39ed3e477bf5979a05df0"),
            _nfe2("neg.tr", "train", 0, "415bfd036e587f0474ea390a00bec31e9bc3d37f9060ebbe97e3f6fa6eabb8a3"),
            _nfe2("test", "test", 1, "5b94b8e8a3c0775891f3ec3d7fc7ee625fd4592297338720bb9b01ff29bba9a0"),
            _nfe2("neg.test", "test", 0, "82ac9e12895fd870afc852294f93a59f726595bafda4b115b4b2c8ceca3efce0"),
        )
    ),
    "deepbind/ARID3A": _deepbind(
        "ARID3A_K562_ARID3A_(sc-8821)_Stanford",
        "928d75f354dbadbb4f083cb298e85df6fa11f001afacd9d577c0d9c9ce831712",
        "aad6ee8ac42ea66791897a447ad01252f26955d2dd8b5a7865f2c233db807c09",
    ),
    "deepbind/GABPA": _deepbind(
        "GABPA_GM12878_GABP_HudsonAlpha",
        "627505bae74920366a5b9b5125e7972b073f611f0bdb258c9d32b9c33bb7529b",
        "b3f4da33cd690a3d72bb0033e3d4b5e9eec25405669fd521938b3c7e50ffbe15",
    ),
    "deepbind/REST": _deepbind(
        "REST_GM12878_NRSF_HudsonAlpha",
        "b5063130dc151f7529f3f02fe1d89ff7d9175a559f6151a72a7927ee217e1ca9",
        "63aba192660e35154421b66f8129aeb449027bb1af25ff7903069fee861d679d",
    ),
    "gue/0": _gue(
        0,
        "930080e019fb92961cbd71998839466c2fc4c34da8fc174999a2ed04ef46822f",
        "17ff638046d146102a86b727adc9ddead9f1f1793577a38961e1f3319da7f738",
        "d29934d0df424a91ef70f6a62671d9d1c4661b485d7010983b49c8bcfba6aeab",
    ),
    "gue/3": _gue(
        3,
        "c4191038363919af593d4f68428e00e6320e3a35902575f1c5c0828954e25a88",
        "b878776f73bd503a371d1d8c0a77058da409ff3f3799901e017f764b07a0d0ef",
        "56d8d76fdcf98c8a444b26794099ef26185872371f62a7565f602181dd533903",
    ),
}
"""ENCODE ChIP-seq with a split of its own.

``nfe2``: NF-E2 in GM12878, of varying length, test on chromosome 1 (Lee, LS-GKM, Bioinformatics 32, 2196-2198, 2016).
``deepbind/...``: 101 bp peaks; test negatives are dinucleotide shuffles of the test peaks, training negatives are made
the same way (Alipanahi et al., Nature Biotechnology 33, 831-838, 2015).
``gue/...``: 101 bp peaks against other places (Zhou et al., DNABERT-2, ICLR 2024).
"""

PLACES = {
    "yeast/Reb1": _yeast("Reb1", "4ff52b075bacf30469c55722086c0f1e64ecd7fa51c0227615f7549f374561c5"),
    "yeast/Abf1": _yeast("Abf1", "bfa8454f8064081840b9dba25033ec95a7476fb015853e97224a524a9a0e7f2e"),
    "yeast/Fkh1": _yeast("Fkh1", "8ef2dd4de9d56e74738258901b0142aa4ea0c4c046c66a3f339067e40e573bba"),
}
"""ChIP-exo binding events of S. cerevisiae (Rossi et al., Nature 592, 309-314, 2021) on the genome R64-1-1."""

NAMES = ("simulated", *PUBLISHED, *BENCHMARKS, *PLACES)


def cache_folder() -> Path:
    """The folder of downloaded files: ``TFBS_DATA_DIR`` if set, else the user's cache folder."""
    import pooch

    return Path(os.environ.get("TFBS_DATA_DIR") or pooch.os_cache("tfbs")).expanduser()


def fetch(file: File) -> Path:
    """Return the path of a published file, downloading it once.

    Parameters
    ----------
    file : File
        What and from where.

    Returns
    -------
    Path
        A verified local file. A file already there is verified, never overwritten.

    Raises
    ------
    DataError
        If the file cannot be had or is not the published one.
    """
    import pooch

    target = cache_folder() / file.path
    if target.exists():
        received = pooch.file_hash(str(target))
        if received != file.sha256:
            raise DataError(
                f"{target}: expected the published file with SHA-256 {file.sha256[:12]}, received one with "
                f"{received[:12]}: move yours away and run again to download it."
            )
        return target
    try:
        return Path(pooch.retrieve(file.url, file.sha256, fname=target.name, path=target.parent))
    except ValueError as error:
        raise DataError(
            f"{file.url}: expected a file with SHA-256 {file.sha256[:12]}, received another one: try again, and if it "
            "stays so report it."
        ) from error
    except OSError as error:
        raise DataError(
            f"{file.url}: expected to download it to {target.parent}, received {type(error).__name__}: connect to the "
            "internet and check that the folder can be written, or put the file at "
            f"{Path('$TFBS_DATA_DIR') / file.path}."
        ) from error
