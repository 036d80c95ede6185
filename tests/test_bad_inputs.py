"""What a user can get wrong before training, and the exact sentence that comes back."""

import gzip
from pathlib import Path

import pytest

from experiments import train
from tfbs import job
from tfbs.errors import TfbsError

GOOD = "ACGTACGTACGTACGTACGT"
KNOWN = (
    "arch, batch_size, both_strands, data_seed, dataset, decoys, deterministic, epochs, label_column, "
    "labels, length, loss, "
    "lr, motif, mutation_rate, n_explained, n_negatives, n_positives, n_references, negatives, "
    "optimizer, pwm, references, "
    "register, registered_model, seed, sequence_column, split_seed, test_size, val_size"
)


def fasta(*sequences):
    return "".join(f">peak{i + 1}\n{sequence}\n" for i, sequence in enumerate(sequences))


def table(*rows, header="sequence,label"):
    return "\n".join([header, *rows]) + "\n"


ROWS = [f"{GOOD},{i % 2}" for i in range(40)]
FILES = {
    "pos.fa": fasta(*[GOOD] * 12),
    "neg.fa": fasta(*[GOOD] * 12),
    "few.fa": fasta(GOOD, GOOD),
    "letter.fa": fasta(GOOD, GOOD[:4] + "X" + GOOD[5:]),
    "rna.fa": fasta("ACGUACGUACGUACGUACGU"),
    "ragged.fa": fasta(GOOD, GOOD + "A"),
    "long.fa": fasta(*[GOOD + "A"] * 12),
    "empty_record.fa": ">peak1\n" + GOOD + "\n>peak2\n>peak3\n" + GOOD + "\n",
    "headless.fa": GOOD + "\n",
    "empty.fa": "",
    "short.csv": table(*(f"ACGTACGTAC,{i % 2}" for i in range(40))),
    "columns.csv": table("ACGT,1", header="seq,bound"),
    "label.csv": table(*ROWS[:2], f"{GOOD},yes"),
    "fields.csv": table(*ROWS, f"{GOOD},1,extra"),
    "one_class.csv": table(*[f"{GOOD},1"] * 40),
    "sorted.csv": table(*[f"{GOOD},0"] * 1000, *[f"{GOOD},1"] * 10),
    "all.txt": f"{GOOD}\n" * 40,
    "gap.txt": f"{GOOD}\n\n" + f"{GOOD}\n" * 38,
    "labels.txt": "0\n" + "0\n1\n" * 20,
    "many.txt": f"{GOOD}\n" * 400,
    "many_labels.txt": "0\n1\n" * 200,
    "badlabels.txt": "0\n1\n" * 19 + "0\npositive\n",
    "peaks.bed": "chr1\t1\t2\n",
    "pwm.txt": "1 0 0 0\n0.5 0.5 x 0\n",
}

PARAMETERS = {
    "--arch basline": 'arch: expected one of baseline, modified, received "basline"; did you mean "baseline"?',
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
    "--references zeros": 'references: expected one of negatives, shuffles, received "zeros".',
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
        'dataset: expected one of simulated, packt, primer or the path of a file, received "paket"; did you '
        'mean "packt"?'
    ),
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
    "--dataset ragged.fa --negatives neg.fa": (
        'ragged.fa, line 4, record "peak2": expected 20 bp like the first record, received 21 bp: trim or pad the '
        "sequences to one length."
    ),
    "--dataset pos.fa --negatives long.fa": (
        "long.fa: expected 20 bp like pos.fa, received 21 bp: a network could tell the classes by length "
        "alone, so trim "
        "or pad both to one length."
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
        'peaks.bed: expected a file ending in .fa, .fasta, .fna, .txt, .csv, .tsv (optionally .gz), received ".bed": '
        "rename or convert the file."
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
    "--dataset many.txt --labels many_labels.txt --n_references 200": (
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
    "--dataset sorted.csv --test_size 0.002": (
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
    split = prepare("--dataset many.txt --labels many_labels.txt")
    assert [len(split.train), len(split.validation), len(split.test)] == [270, 30, 100]
