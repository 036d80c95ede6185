import json

import pytest

from experiments.compare import request
from tfbs.architectures import Recipe
from tfbs.errors import ParameterError
from tfbs.plan import Plan, Request


def test_seeds_are_a_count_or_a_list():
    assert Plan().seed_list == [0, 1, 2, 3, 4]
    assert Plan(seeds="2").seed_list == [0, 1]
    assert Plan(seeds="7,").seed_list == [7]
    assert Plan(seeds="3, 1,3").seed_list == [3, 1]


def test_contenders_keep_their_own_recipe_under_the_common_values():
    run = "0123456789abcdef" * 2
    configurations = {run: ("modified", {"lr": 0.01, "epochs": 3, "loss": "bce"})}
    asked = Request(Plan(archs=f"baseline,{run}"), recipe={"epochs": 7}, configurations=configurations)
    plain, tuned = asked.contenders
    assert (plain.name, plain.arch, plain.recipe) == ("baseline", "baseline", Recipe(epochs=7))
    assert (tuned.name, tuned.arch) == ("modified-01234567", "modified")
    assert tuned.recipe == Recipe(loss="bce", lr=0.01, epochs=7)
    job = asked.job(tuned, seed=3, split_seed=5)
    assert (job.settings.arch, job.settings.seed, job.settings.register) == ("modified", 3, False)
    assert job.full_recipe == Recipe(loss="bce", lr=0.01, epochs=7, split_seed=5)


def test_a_request_survives_being_written_down():
    words = "--archs modified,baseline --seeds 1,2 --n_positives 50 --lr 0.01 --references shuffles --split_seeds 1,2"
    asked = request(words.split())
    assert Request.from_dict(json.loads(asked.to_json())) == asked
    assert asked.split_seeds == [1, 2]
    assert asked.simulation.n_positives == 50


def test_params_name_what_the_comparison_depends_on():
    params = request("--seeds 2 --lr 0.01 --n_positives 50".split()).params
    assert params["archs"] == "baseline,modified"
    assert (params["seeds"], params["lr"], params["n_positives"], params["dataset"]) == ("2", 0.01, 50, "simulated")
    assert not {"arch", "seed", "resume", "runs", "epochs"} & params.keys()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--archs ,", 'archs: expected names separated by commas, received ",".'),
        ("--archs baseline,modifid", 'arch: expected one of baseline, modified, gapped, received "modifid"; did'),
        ("--seeds 0", 'seeds: expected a number from 1 to 1000, or seeds separated by commas, received "0".'),
        ("--seeds two", 'seeds: expected a number from 1 to 1000, or seeds separated by commas, received "two".'),
        ("--seeds 1,-2", 'seeds: expected a number from 1 to 1000, or seeds separated by commas, received "1,-2".'),
        ("--folds 0", 'folds: expected a whole number of at least 1, received "0".'),
        ("--split_seeds 1;2", 'split_seeds: expected whole numbers separated by commas, received "1;2".'),
        ("--metric auc", 'metric: expected one of auroc, auprc, brier, recall_at_fdr10, received "auc"; did you mean'),
        ("--register all", 'register: expected one of best, ensemble, no, received "all".'),
        ("--workers -1", 'workers: expected a whole number of at least 0, received "-1".'),
        ("--arch baseline", 'Expected a known parameter, received "arch"; did you mean "archs"?'),
        (
            "--resume abc --seeds 3",
            "seeds: expected no other parameter beside resume, received seeds: leave it out, because resume says what "
            "was trained.",
        ),
        (
            "--runs abc,def --epochs 3",
            "epochs: expected no other parameter beside runs, received epochs: leave it out, because runs says what "
            "was trained.",
        ),
        (
            "--runs abc,def --register ensemble",
            "register: expected ensemble only with archs, received it with runs: leave one out.",
        ),
        (
            "--dataset packt --n_positives 9",
            "n_positives: expected only with dataset=simulated, received it with dataset=packt: leave it out.",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(words, sentence):
    with pytest.raises(ParameterError) as caught:
        request(words.split(" "))
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)
