"""What a user can get wrong before training, and the exact sentence that comes back."""

import gzip
import itertools
from pathlib import Path

import pytest

from experiments import train
from tfbs import cleaning, datasets, job
from tfbs.errors import TfbsError

GOOD = "ACGTACGTACGTACGTACGT"
KNOWN = (
    "arch, batch_size, blacklist, both_strands, budget, data_seed, dataset, decoys, deterministic, epochs, genome, "
    "group_column, label_column, labels, length, loss, "
    "lr, motif, motifs, mutation_rate, n_explained, n_negatives, n_positives, n_references, negative_ratio, "
    "negative_seed, negatives, optimizer, pwm, references, "
    "register, registered_model, seed, sequence_column, split, split_column, split_seed, test_groups, test_size, "
    "val_groups, val_size, width"
)
NAMES = (
    "simulated, packt, primer, nfe2, deepbind/ARID3A, deepbind/GABPA, deepbind/REST, gue/0, gue/3, yeast/Reb1, "
    "yeast/Abf1, yeast/Fkh1"
)

MANY = ["".join(start) + GOOD[6:] for start in itertools.product("ACGT", repeat=6)]
"""Different sequences of 20 bp; none of the first 2,000 is the reverse complement of another."""


def fasta(*sequences):
    return "".join(f">peak{i + 1}\n{sequence}\n" for i, sequence in enumerate(sequences))


def table(*rows, header="sequence,label"):
    return "\n".join([header, *rows]) + "\n"


ROWS = [f"{sequence},{i % 2}" for i, sequence in enumerate(MANY[:40])]
FILES = {
    "pos.fa": fasta(*MANY[:12]),
    "neg.fa": fasta(*MANY[12:24]),
    "few.fa": fasta(*MANY[:2]),
    "same.fa": fasta(*[GOOD] * 12),
    "unknown.fa": fasta(*[f"ACGT{'N' * k}" for k in range(5, 17)]),
    "letter.fa": fasta(GOOD, GOOD[:4] + "X" + GOOD[5:]),
    "rna.fa": fasta("ACGUACGUACGUACGUACGU"),
    "long.fa": fasta(*[f"{sequence}A" for sequence in MANY[12:24]]),
    "empty_record.fa": ">peak1\n" + GOOD + "\n>peak2\n>peak3\n" + GOOD + "\n",
    "headless.fa": GOOD + "\n",
    "empty.fa": "",
    "short.csv": table(*(f"{sequence[:6]}ACAA,{i % 2}" for i, sequence in enumerate(MANY[:40]))),
    "columns.csv": table("ACGT,1", header="seq,bound"),
    "label.csv": table(*ROWS[:2], f"{GOOD},yes"),
    "split.csv": table(*(f"{row},train" for row in ROWS), f"{GOOD},1,holdout", header="sequence,label,fold"),
    "good.csv": table(*ROWS),
    "fields.csv": table(*ROWS, f"{GOOD},1,extra"),
    "one_class.csv": table(*(f"{sequence},1" for sequence in MANY[:40])),
    "sorted.csv": table(*(f"{sequence},{int(i >= 1000)}" for i, sequence in enumerate(MANY[:1010]))),
    "header.seq": "FoldID\tEventID\tsequence\tBound\n",
    "fake.parquet": "PAR1 or not",
    "all.txt": "\n".join(MANY[:40]) + "\n",
    "gap.txt": f"{GOOD}\n\n" + f"{GOOD}\n" * 38,
    "labels.txt": "0\n" + "0\n1\n" * 20,
    "many.txt": "\n".join(MANY[:400]) + "\n",
    "many_labels.txt": "0\n1\n" * 200,
    "badlabels.txt": "0\n1\n" * 19 + "0\npositive\n",
    "peaks.bed": "chr1\t1\t2\n",
    "peaks.doc": "chr1\t1\t2\n",
    "pwm.txt": "1 0 0 0\n0.5 0.5 x 0\n",
}

PARAMETERS = {
    "--arch basline": (
        'arch: expected one of baseline, modified, gapped, auto, received "basline"; did you mean "baseline"?'
    ),
    "--epoch 5": 'Expected a known parameter, received "epoch"; did you mean "epochs"?',
    "--zzz 5": f'Expected a known parameter, received "zzz": known are {KNOWN}.',
    "--lr fast": 'lr: expected a number, received "fast".',
    "--lr 0": 'lr: expected a positive number, received "0.0".',
    "--lr nan": 'lr: expected a positive number, received "nan".',
    "--lr": "Expected parameters as name=value, received a problem: argument --lr: expected one argument.",
    "--epochs 2.5": 'epochs: expected a whole number, received "2.5".',
    "--epochs 0": 'epochs: expected a whole number of at least 1, received "0".',
    "--batch_size -1": 'batch_size: expected a whole number of at least 1, received "-1".',
    "--seed -1": 'seed: expected a whole number from 0 to 4294967295, received "-1".',
    "--register maybe": 'register: expected true or false, received "maybe".',
    "--registered_model=": 'registered_model: expected a name without "/" and ":", received "".',
    "--registered_model models:/x": 'registered_model: expected a name without "/" and ":", received "models:/x".',
    "--loss msee": 'loss: expected one of mse, bce, received "msee"; did you mean "mse"?',
    "--optimizer adm": (
        'optimizer: expected one of adam, adamw, sgd, rmsprop, nadam, received "adm"; did you mean "adam"?'
    ),
    "--test_size 1": 'test_size: expected a share between 0 and 1, received "1.0".',
    "--references zeros": 'references: expected negatives, shuffles or the path of a file, received "zeros".',
    "--motif ACGU": 'motif: expected letters A, C, G and T, received "ACGU".',
    "--length 5": (
        "length: expected at least the 12 bp of the motif, received 5: use longer sequences or a shorter motif."
    ),
    "--n_positives 3": 'n_positives: expected at least 10, received "3".',
    "--mutation_rate 2": 'mutation_rate: expected a share from 0 to 1, received "2.0".',
    "--dataset packt --motif ACG": (
        "motif: expected only with dataset=simulated, received it with dataset=packt: leave it out."
    ),
    "--dataset paket": (
        f'dataset: expected one of {NAMES} or the path of a file, received "paket"; did you mean "packt"?'
    ),
    "--dataset deepbind/GABP": (
        f'dataset: expected one of {NAMES} or the path of a file, received "deepbind/GABP"; did you mean '
        '"deepbind/GABPA"?'
    ),
    "--dataset gue/3 --negatives shuffle": (
        "negatives: expected only beside a file of your own, received it beside dataset=gue/3, which brings its "
        "labels: leave it out."
    ),
    "--width -1": 'width: expected a number of bp, or 0 for the longest sequence, received "-1".',
    "--negative_ratio 0": 'negative_ratio: expected a whole number of at least 1, received "0".',
    "--negative_seed -1": 'negative_seed: expected a whole number from 0 to 4294967295, received "-1".',
    "--dataset packt --negatives neg.fa": (
        "negatives: expected only beside a file of your own, received it beside dataset=packt, which brings "
        "its labels: "
        "leave it out."
    ),
}
DATA = {
    "--dataset missing.fa --negatives neg.fa": (
        "Expected an existing file, received missing.fa, which does not exist (working folder: {cwd}): check "
        "the spelling "
        "or give an absolute path."
    ),
    "--dataset folder.fa --negatives neg.fa": (
        "Expected a file, received the folder folder.fa: name a file inside it."
    ),
    "--dataset pos.fa": (
        "dataset=pos.fa: expected exactly one companion, negatives=<file> or labels=<file>, received "
        "neither: say which "
        "sequences do not bind."
    ),
    "--dataset all.txt --negatives neg.fa --labels labels.txt": (
        "dataset=all.txt: expected exactly one companion, negatives=<file> or labels=<file>, received both: say which "
        "sequences do not bind."
    ),
    "--dataset few.fa --negatives neg.fa": (
        "few.fa: expected at least 10 sequences of each class, received 2 positives and 12 negatives: add sequences of "
        "the smaller class."
    ),
    "--dataset letter.fa --negatives neg.fa": (
        'letter.fa, line 4, record "peak2": expected the letters A, C, G, T or N, received "X" at position '
        "5: correct or "
        "remove this record."
    ),
    "--dataset pos.fa --negatives rna.fa": (
        'rna.fa, line 2, record "peak1": expected the letters A, C, G, T or N, received "U" at position 4: correct or '
        "remove this record."
    ),
    "--dataset same.fa --negatives neg.fa": (
        "same.fa: expected at least 10 sequences of each class, received 1 positives and 12 negatives once 11 were "
        "dropped (duplicate within a class: 11): add sequences of the smaller class."
    ),
    "--dataset pos.fa --negatives pos.fa": (
        "pos.fa: expected at least 10 sequences of each class, received 0 positives and 0 negatives once 24 were "
        "dropped (same sequence in both classes, on either strand: 24): add sequences of the smaller class."
    ),
    "--dataset unknown.fa --negatives neg.fa": (
        "unknown.fa: expected at least 10 sequences of each class, received 0 positives and 12 negatives once 12 were "
        "dropped (more than half N: 12): add sequences of the smaller class."
    ),
    "--dataset good.csv --negatives shuffle": (
        "negatives: expected shuffle beside positives alone, received it beside good.csv, which holds 20 negatives: "
        "leave it out."
    ),
    "--dataset good.csv --group_column chromosome": (
        "good.csv, line 1: expected a column \"chromosome\", received the columns 'sequence', 'label': name yours with "
        "group_column=."
    ),
    "--dataset split.csv --split_column fold": (
        'split.csv, line 42: expected train, validation or test in the split column, received "holdout": correct this '
        "line."
    ),
    "--dataset header.seq": (
        "header.seq, line 1: expected a column \"seq\", received the columns 'FoldID', 'EventID', 'sequence', 'Bound': "
        "name yours with sequence_column= and label_column=."
    ),
    "--dataset fake.parquet": (
        "fake.parquet: expected a complete Parquet file, received one that cannot be read: write it again."
    ),
    "--dataset empty_record.fa --negatives neg.fa": (
        'empty_record.fa, line 4, record "peak2": expected a sequence, received nothing: remove or fill this record.'
    ),
    "--dataset headless.fa --negatives neg.fa": (
        'headless.fa, line 1: expected a FASTA header starting with ">", received "ACGTACGTACGTACGTACGT": check the '
        "file's format."
    ),
    "--dataset empty.fa --negatives neg.fa": "empty.fa: expected at least one sequence, received none.",
    "--dataset cut.fa.gz --negatives neg.fa": (
        "cut.fa.gz: expected a complete gzip file, received one that is truncated or damaged: fetch or "
        "compress it again."
    ),
    "--dataset binary.fa --negatives neg.fa": (
        "binary.fa: expected text, received bytes that are not text at offset 1: give FASTA, CSV, TSV or plain text, "
        "optionally gzip-compressed."
    ),
    "--dataset peaks.bed": (
        "dataset=peaks.bed: expected genome=<FASTA file> beside peaks, received no genome: name the genome that the "
        "peaks were called on."
    ),
    "--dataset good.csv --genome pos.fa": (
        "genome: expected only beside peaks (.bed, .narrowpeak), received it beside good.csv: leave it out."
    ),
    "--dataset peaks.bed --genome missing.fa": (
        "Expected an existing genome file, received missing.fa, which does not exist (working folder: {cwd}): give the "
        "path of a FASTA file."
    ),
    "--dataset peaks.doc": (
        "peaks.doc: expected a file ending in .fa, .fasta, .fna, .txt, .csv, .tsv, .seq, .parquet (optionally .gz), "
        'received ".doc": rename or convert the file.'
    ),
    "--dataset columns.csv": (
        "columns.csv, line 1: expected a column \"sequence\", received the columns 'seq', 'bound': name yours with "
        "sequence_column= and label_column=."
    ),
    "--dataset label.csv": 'label.csv, line 4: expected the label 0 or 1, received "yes": correct this line.',
    "--dataset fields.csv": ("fields.csv, line 42: expected 2 fields as in the header, received 3: correct this line."),
    "--dataset one_class.csv": (
        "one_class.csv: expected at least 10 sequences of each class, received 40 positives and 0 negatives: add "
        "sequences of the smaller class."
    ),
    "--dataset label.csv --negatives neg.fa": (
        "Expected labels from the table label.csv alone, received negatives= or labels= too: leave it out."
    ),
    "--dataset all.txt --labels labels.txt": (
        "labels.txt: expected 40 labels, one per sequence of all.txt, received 41: its first line may be a header, "
        "remove it."
    ),
    "--dataset all.txt --labels badlabels.txt": (
        'badlabels.txt, line 40: expected the label 0 or 1, received "positive": correct this line.'
    ),
    "--dataset gap.txt --negatives all.txt": (
        'gap.txt, line 2, record "gap:2": expected a sequence, received nothing: remove or fill this record.'
    ),
    "--dataset short.csv": (
        "arch=baseline: expected sequences of at least 15 bp, received 10 bp: use longer sequences or another "
        "architecture."
    ),
    "--dataset many.txt --labels many_labels.txt --split random --n_references 200": (
        "n_references: expected at most the 129 negatives of the training part, received 200: set n_references=129."
    ),
    "--pwm pwm.txt": (
        "pwm.txt, line 2: expected four non-negative numbers (A C G T) with a positive sum, received "
        '"0.5 0.5 x 0": correct this line.'
    ),
    "--motif AC --length 100": (
        'motif: expected one that random sequences of 100 bp rarely hold, received "AC": use a longer motif or shorter '
        "sequences."
    ),
    "--dataset sorted.csv --split random --test_size 0.002": (
        "sorted.csv: expected at least 2 sequences of each class in the validation part, received 1 "
        "positives and 100 negatives: "
        "use more sequences, or change test_size, val_size or split_seed."
    ),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "folder.fa").mkdir()
    (tmp_path / "cut.fa.gz").write_bytes(gzip.compress(FILES["pos.fa"].encode())[:-12])
    (tmp_path / "binary.fa").write_bytes(b">\xff\xfe\x00")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def prepare(command):
    """Everything that happens before training."""
    return job.prepare(train.request(command.split()))


@pytest.mark.parametrize("command", [*PARAMETERS, *DATA])
def test_one_sentence(folder, command):
    with pytest.raises(TfbsError) as caught:
        prepare(command)
    assert str(caught.value) == {**PARAMETERS, **DATA}[command].replace("{cwd}", str(Path.cwd()))
    assert str(caught.value).count("\n") == 0


def test_the_same_files_without_their_faults_are_accepted(folder):
    split = prepare("--dataset many.txt --labels many_labels.txt --split random")
    assert [len(split.train), len(split.validation), len(split.test)] == [270, 30, 100]


def test_classes_of_different_lengths_are_put_into_one_window(folder):
    data = datasets.load(datasets.Source("pos.fa", negatives="long.fa"))
    assert data.codes.shape == (24, 21)
    assert data.dropped == {cleaning.SHORTER: 12}
