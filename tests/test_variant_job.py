"""Scoring variants as users start it: from a VCF with a version, from pairs with a run, and what is refused."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score
from test_job import ROOT, Store, finish

from tfbs import architectures, jaspar, registry, runs, sequences, training
from tfbs.errors import ParameterError, RegistryError

MOTIF = sequences.encode_strings(["AAAGAGGAAGTT"])[0]
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"


@pytest.fixture(scope="module")
def store(tmp_path_factory, empty_store):
    """A store with one trained network, which is champion."""
    made = Store(tmp_path_factory.mktemp("variants"), empty_store)
    made.env["TFBS_DATA_DIR"] = str(made.folder / "cache")
    code, output = finish(made.train("--n_explained", "20", "--motifs", "none"))
    assert code == 0, output
    return made


@pytest.fixture(scope="module")
def known(store):
    """A file with the motif of the sites."""
    path = store.folder / "motifs.meme"
    jaspar.write_meme(path, [jaspar.Motif("pos_1", "SPI1", np.where(np.eye(4)[MOTIF], 0.85, 0.05))])
    return path


@pytest.fixture(scope="module")
def genome(store):
    """A genome of random bases with a site every 200 bp, and a stretch of N."""
    codes = np.random.RandomState(0).randint(0, 4, 20_000, dtype=np.uint8)
    for start in range(200, 10_000, 200):
        codes[start : start + 12] = MOTIF
    codes[15_000:15_100] = 4
    (store.folder / "g.fa").write_text(f">chr1\n{sequences.decode(codes[None])[0]}\n")
    return codes


@pytest.fixture(scope="module")
def calls(store, genome):
    """Substitutions in the middle of sites and between them, and of everything else one."""
    rows = []
    for start in range(200, 10_000, 200):
        for name, at in (("site", start + 5), ("between", start + 100)):
            rows.append((at, f"{name}{start}", "ACGT"[genome[at]], "ACGT"[3 - genome[at]]))
    deleted = sequences.decode(genome[None, 403:411])[0]
    rows.append((403, "deletion", deleted, deleted[0]))
    rows.append((12_000, "several", "ACGT"[genome[12_000]], f"{'ACGT'[3 - genome[12_000]]},<DEL>"))
    rows.append((12_100, "spanning", "ACGT"[genome[12_100]], "*"))
    rows.append((15_050, "unknown", "N", "A"))
    rows.append((3, "end", "ACGT"[genome[3]], "ACGT"[3 - genome[3]]))
    lines = [f"1\t{at + 1}\t{name}\t{ref}\t{alt}\t.\tPASS\tAC=1" for at, name, ref, alt in sorted(rows)]
    path = store.folder / "calls.vcf.gz"
    path.write_bytes(gzip.compress("\n".join(["##fileformat=VCFv4.3", COLUMNS, *lines]).encode()))
    return path


def variants(store, *arguments):
    return finish(store.start(sys.executable, "-m", "experiments.variants", *arguments))


def newest(store):
    return store.runs()[-1]


def table(folder) -> pd.DataFrame:
    return pd.read_csv(folder / "variants.tsv", sep="\t", keep_default_na=False).set_index("id")


def test_mlflow_run_annotates_a_vcf_with_the_champion(store, calls, genome, known):
    command = ["mlflow", "run", str(ROOT), "--env-manager", "local", "-e", "variants"]
    given = [f"vcf={calls}", f"genome={store.folder}/g.fa", "model=models:/tfbs@champion", f"out={store.folder}/out"]
    given.append(f"motifs={known}")
    code, output = finish(store.start(*command, *(word for p in given for word in ("-P", p))))
    assert code == 0, output
    run = newest(store)
    assert (run.info.status, run.info.run_name, run.data.tags["tfbs.kind"]) == (
        "FINISHED",
        "variants-calls",
        "variants",
    )
    trained = store.client.get_model_version_by_alias("tfbs", "champion").run_id
    assert run.data.tags["tfbs.network_run"] == trained
    assert run.data.params["shifts"] == "5"
    assert run.data.metrics["variants/scored"] == 100 and run.data.metrics["variants/not_scored"] == 4

    artifacts = Path(store.client.download_artifacts(run.info.run_id, ""))
    for name in ("variants.vcf.gz", "variants.tsv"):
        assert (store.folder / "out" / name).read_bytes() == (artifacts / name).read_bytes()
    assert sorted(path.name for path in (store.folder / "out").iterdir()) == ["variants.tsv", "variants.vcf.gz"]
    assert (artifacts / "plots/variants.png").exists()
    assert "data:image/png" in (artifacts / "report.html").read_text()

    found = table(artifacts)
    assert found["reason"].value_counts().drop("").to_dict() == {
        "no bases (<...>, *, . or a breakend)": 2,
        "N in the window": 1,
        "window beyond the end of the chromosome": 1,
    }
    deltas = pd.to_numeric(found["delta"])
    sites = found.index.str.startswith("site")
    assert (deltas[sites] < 0).all() and (found["effect"][sites] == "loss").all()
    between = found.index.str.startswith("between")
    assert roc_auc_score(sites[sites | between], deltas[sites | between].abs()) > 0.95
    assert pd.to_numeric(found["percentile"])[sites].median() > 95
    assert deltas["deletion"] < 0
    assert (found["motif_change"][sites] == "weakened pos_1 (SPI1)").all()
    assert found["motif_change"]["deletion"] == "lost pos_1 (SPI1)"
    strong = found[pd.to_numeric(found["percentile"]) >= 99]
    told = f"{(strong['motif_change'] != '').sum()} of the {len(strong)} strong changes lie in a site (p < 0.0001)"
    assert told in run.data.tags["mlflow.note.content"] and told in (artifacts / "report.html").read_text().replace(
        "&lt;", "<"
    )

    records = {line.split("\t")[2]: line.split("\t") for line in vcf_lines(artifacts) if not line.startswith("#")}
    original = {line.split("\t")[2]: line for line in gzip.decompress(calls.read_bytes()).decode().splitlines()[2:]}
    assert list(records) == list(original)
    for name in ("spanning", "unknown", "end"):
        assert "\t".join(records[name]) == original[name]
    info = dict(entry.split("=") for entry in records["several"][7].split(";"))
    assert "TFBS_MOTIF=lost:pos_1" in records["deletion"][7].split(";") and "TFBS_MOTIF" not in info
    assert info["AC"] == "1" and info["TFBS_DELTA"].endswith(",.")
    assert float(info["TFBS_DELTA"].split(",")[0]) == pytest.approx(
        float(found.loc["several", "delta"].iloc[0]), rel=1e-3
    )
    declared = [line for line in vcf_lines(artifacts) if line.startswith("##INFO=<ID=TFBS_")]
    assert [line.split(",")[0][11:] for line in declared] == ["TFBS_DELTA", "TFBS_DP", "TFBS_PCT", "TFBS_MOTIF"]
    assert ["Type=String" in line for line in declared] == [False, False, False, True]

    content = json.loads((artifacts / "variants_top.json").read_text())
    top = pd.DataFrame(content["data"], columns=content["columns"])
    sizes = top["delta"].astype(float).abs()
    assert len(top) == 100 and sizes.is_monotonic_decreasing
    assert sizes[0] == pytest.approx(deltas.abs().max())
    assert top["sequence"].str.fullmatch(r"[ACGTN]{7}\[[ACGTN]*/[ACGTN]*\][ACGTN]{7}").all()


def vcf_lines(folder) -> list[str]:
    return gzip.decompress((folder / "variants.vcf.gz").read_bytes()).decode().splitlines()


def test_pairs_get_what_the_network_says_of_them(store, known):
    trained = store.client.get_model_version_by_alias("tfbs", "champion").run_id
    store.client.log_artifact(trained, str(known))
    codes = np.random.RandomState(1).randint(0, 4, (30, 2, 50), dtype=np.uint8)
    codes[0, 1] = codes[0, 0]
    codes[0, 0, 20:32] = MOTIF
    rows = [f"p{k}\t" + "\t".join(sequences.decode(pair)) for k, pair in enumerate(codes)]
    (store.folder / "pairs.tsv").write_text("\n".join(["id\tref\talt", *rows, f"n\t{'N' * 50}\t{'A' * 50}"]) + "\n")
    out = store.folder / "paired"
    code, output = variants(store, "--pairs", "pairs.tsv", "--run_id", trained, "--out", str(out))
    assert code == 0, output
    assert [path.name for path in out.iterdir()] == ["variants.tsv"]
    found = table(out)
    assert found.loc["n", "reason"] == "N in the window" and (found["percentile"] == "").all()
    assert found.loc["p0", "motif_change"] == "lost pos_1 (SPI1)"
    assert f"of a motif of run {trained}, which holds 1" in output
    network = store.client.download_artifacts(trained, "network/baseline.keras")
    import keras

    model = architectures.logit_model(keras.saving.load_model(network, compile=False))
    flat = codes.reshape(60, 50)
    both = training.predict_logits(model, flat) + training.predict_logits(model, sequences.reverse_complement(flat))
    ref, alt = (both / 2).reshape(30, 2).T
    scored = found.drop("n")[["reference_logit", "alternative_logit", "delta", "probability_change"]].astype(float)
    expected = np.column_stack([ref, alt, alt - ref, expit(alt) - expit(ref)])
    np.testing.assert_allclose(scored, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_records_that_differ_from_the_genome_are_refused_or_skipped(store, published_files):
    folder = published_files / "hg38_chr1_1Mb"
    if not folder.exists():
        pytest.skip("needs hg38_chr1_1Mb")
    genome, out = ["--genome", str(folder / "hg38_1m.fa.gz")], store.folder / "eqtl"
    code, output = variants(store, "--vcf", str(folder / "eqtl.vcf"), *genome)
    assert code == 0, output
    assert newest(store).data.metrics["variants/scored"] == 8
    flipped = ["--vcf", str(folder / "eqtl_flip.vcf"), *genome, "--out", str(out)]
    code, output = variants(store, *flipped)
    run = newest(store)
    assert code == 1
    [sentence] = [line for line in output.splitlines() if line.startswith("Error: ")]
    assert "received 8 records with something else: line 2 (chr1:14677) has A, the genome G; " in sentence
    assert sentence.count("the genome ") == 8 + 1
    assert run.info.status == "FAILED"
    assert sentence.removeprefix("Error: ") in run.data.tags["mlflow.note.content"]
    assert list(out.iterdir()) == []
    code, output = variants(store, *flipped, "--mismatch", "skip")
    assert code == 0, output
    assert newest(store).data.metrics["variants/not_scored"] == 8
    assert "REF differs from the genome" in output
    unchanged = [line for line in (out / "variants.vcf").read_text().splitlines() if not line.startswith("#")]
    original = (folder / "eqtl_flip.vcf").read_text().splitlines()[1:]
    assert unchanged == [f"{line}\t." for line in original]


@pytest.mark.slow
def test_bad_input_fails_in_one_sentence_and_leaves_no_file(store, calls):
    cut = store.folder / "cut.vcf.gz"
    cut.write_bytes(calls.read_bytes()[:-20])
    genome, out = ["--genome", str(store.folder / "g.fa")], store.folder / "refused"
    faults = {
        "cut.vcf.gz: expected a complete gzip file": ["--vcf", str(cut), *genome],
        "or a version as": ["--vcf", str(calls), *genome, "--model", "models:/tfbs/99"],
        "which holds no motifs.meme": ["--vcf", str(calls), *genome, "--motifs", newest(store).info.run_id],
        "pairs.fa, line 1: expected a header with the columns id, ref, alt": ["--pairs", "pairs.fa"],
    }
    (store.folder / "pairs.fa").write_text(">x\nACGT\n")
    for message, arguments in faults.items():
        code, output = variants(store, *arguments, "--out", str(out))
        errors = [line for line in output.splitlines() if line.startswith("Error: ")]
        assert (code, len(errors)) == (1, 1), output
        assert message in errors[0]
        assert newest(store).info.status == "FAILED"
        assert list(out.iterdir()) == []


def test_the_motifs_of_a_run_are_those_that_it_logged(local_store, tmp_path):
    run_id = local_store.create_run(local_store.create_experiment("e")).info.run_id
    assert runs.motifs(run_id) is None
    for motifs in ((), (jaspar.Motif("pos_1", "SPI1", np.eye(4)),)):
        jaspar.write_meme(tmp_path / "motifs.meme", motifs)
        local_store.log_artifact(run_id, str(tmp_path / "motifs.meme"))
        found = runs.motifs(run_id)
        assert [motif.name for motif in found.motifs] == [motif.name for motif in motifs]
    assert found.name == f"run {run_id}"


def test_versions_are_loaded_with_the_mean_of_their_members(candidate, local_store, simulated):
    made = candidate(0, 1)
    run = local_store.create_run(local_store.create_experiment("e"))
    version = registry.register(made, "pair", run.info.run_id)
    found = registry.network(f"models:/pair/{version}")
    expected = np.mean([training.predict_logits(member, simulated.codes[:50]) for member in made.members], axis=0)
    np.testing.assert_allclose(training.predict_logits(found, simulated.codes[:50]), expected, rtol=0, atol=1e-5)
    with pytest.raises(RegistryError, match=r"Expected a network at models:/pair/7/artifacts/logit_model\.keras"):
        registry.network("models:/pair/7")
    with pytest.raises(ParameterError, match="Expected a run that trained a network, received "):
        runs.network(run.info.run_id)
