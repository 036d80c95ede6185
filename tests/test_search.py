"""The space of a search, what Optuna proposes in it, and how trials are pruned and ranked."""

import json
import math
import pickle

import numpy as np
import optuna
import pytest

from experiments import tune
from tfbs import study
from tfbs.architectures import ARCHITECTURES, Recipe
from tfbs.datasets import Source
from tfbs.errors import ParameterError
from tfbs.search import LABELLED, Range, Request, Search, Space
from tfbs.simulation import Simulation
from tfbs.study import Trial

ALL = ", ".join(("archs", "loss", "optimizer", "lr", "batch_size", "epochs"))
WRONG = {
    "--trials 0": 'trials: expected a whole number of at least 1, received "0".',
    "--batch 0": 'batch: expected a whole number of at least 1, received "0".',
    "--workers -1": 'workers: expected a whole number of at least 0, received "-1".',
    "--seed -1": 'seed: expected a whole number from 0 to 4294967295, received "-1".',
    "--pruner mean": 'pruner: expected one of median, none, received "mean"; did you mean "median"?',
    "--engine sparc": 'engine: expected one of local, spark, received "sparc"; did you mean "spark"?',
    "--engine spark --workers 3": (
        "workers: expected only with engine=local, received it with engine=spark: leave it out."
    ),
    "--spark_master local[4]": (
        "spark_master: expected only with engine=spark, received it with engine=local: leave it out."
    ),
    "--trial 3": 'Expected a known parameter, received "trial"; did you mean "trials"?',
    "--archs basline": 'arch: expected one of baseline, modified, gapped, received "basline"; did you mean "baseline"?',
    "--lr fast": 'lr: expected a number, several as 1e-3,1e-2 or a range as 1e-4:1e-2, received "fast".',
    "--lr 1e-4:1e-3:1e-2": (
        'lr: expected a number, several as 1e-3,1e-2 or a range as 1e-4:1e-2, received "1e-4:1e-3:1e-2".'
    ),
    "--lr 0:1": 'lr: expected a positive number, received "0.0".',
    "--lr 1e-2:1e-4": 'lr: expected a range whose first number is the lower one, received "1e-2:1e-4".',
    "--epochs 2.5": 'epochs: expected a whole number, several as 10,20 or a range as 5:20, received "2.5".',
    "--epochs 0:3": 'epochs: expected a whole number of at least 1, received "0".',
    "--batch_size=": 'batch_size: expected a whole number, several as 10,20 or a range as 5:20, received "".',
    "--optimizer adam,adm": (
        'optimizer: expected one of adam, adamw, sgd, rmsprop, nadam, received "adm"; did you mean "adam"?'
    ),
    "--loss mse:bce": 'loss: expected one of mse, bce, received "mse:bce"; did you mean "mse"?',
    "--val_size 2": 'val_size: expected a share between 0 and 1, received "2.0".',
    "--archs baseline --loss mse --optimizer adam --lr 1e-3 --batch_size 10 --epochs 5": (
        f"Expected at least one parameter with more than one value, received one value for each: widen one of {ALL}."
    ),
    "--dataset packt --motif ACG": (
        "motif: expected only with dataset=simulated, received it with dataset=packt: leave it out."
    ),
    "--resume 0123 --lr 1e-3": (
        "lr: expected no other parameter than trials beside resume, received lr: leave it out, because the search to "
        "resume knows its own."
    ),
}


@pytest.mark.parametrize("command", WRONG)
def test_one_sentence(command):
    with pytest.raises(ParameterError) as caught:
        tune.request(command.split())
    assert str(caught.value) == WRONG[command]


def test_the_space_is_what_was_written():
    space = Space(loss="mse", optimizer="adam, sgd,adam", lr="1e-3:1e-1", batch_size="10:40", epochs="3")
    assert space.domains == {
        "arch": LABELLED,
        "loss": ("mse",),
        "optimizer": ("adam", "sgd"),
        "lr": Range(0.001, 0.1, True),
        "batch_size": Range(10, 40, True),
        "epochs": (3,),
    }
    assert space.fixed == {"loss": "mse", "epochs": 3}
    assert list(space.searched) == ["arch", "optimizer", "lr", "batch_size"]
    logged = {key: str(value) for key, value in {"arch": "baseline", "lr": 0.1 + 0.2, "epochs": 3}.items()}
    logged |= {"loss": "mse", "optimizer": "sgd", "batch_size": "17", "seed": "0", "motif": "ACG"}
    assert space.read(logged) == {
        "arch": "baseline",
        "loss": "mse",
        "optimizer": "sgd",
        "lr": 0.30000000000000004,
        "batch_size": 17,
        "epochs": 3,
    }


def test_a_request_survives_being_written_down():
    request = tune.request("--trials 7 --lr 1e-3,1e-2 --val_size 0.2 --mutation_rate 0.2 --both_strands yes".split())
    assert Request.from_dict(json.loads(request.to_json())) == request
    assert request.data_arguments == {"mutation_rate": 0.2, "both_strands": True}
    assert Request(source=Source("x.csv", label_column="y")).data_arguments == {"dataset": "x.csv", "label_column": "y"}


def test_a_trial_is_named_by_the_parameters_of_the_main_job():
    request = Request(Search(seed=3), simulation=Simulation(length=30), division={"val_size": 0.2})
    params = {"arch": "modified", "loss": "bce", "optimizer": "sgd", "lr": 0.1, "batch_size": 20, "epochs": 7}
    logged = request.trial_params(params)
    assert logged.items() >= {**params, "seed": 3, "val_size": 0.2, "test_size": 0.25, "length": 30}.items()
    assert request.recipe(params) == Recipe("bce", "sgd", 0.1, 20, 7, val_size=0.2)
    assert not {"register", "references", "n_explained"} & logged.keys()
    assert request.params.items() >= {"lr": "1e-4:1e-2", "archs": "baseline,modified", "val_size": 0.2}.items()


def finish(number, params, value=0.5, state="complete", **more):
    return Trial(number, params, state, "trained", (0.4, value), 0.1, **more)


def grown(space, seed, batch, count, value):
    """A search whose trials take no time: their value is a function of the parameters."""
    history = []
    while len(history) < count:
        size = min(batch, count - len(history))
        proposed = study.propose(space, seed, history, size)
        history += [finish(len(history) + i, params, value(params)) for i, params in enumerate(proposed)]
    return history


def peak(params):
    """Best at lr = 1e-3 with sgd."""
    return 0.9 - 0.1 * math.log10(params["lr"] / 1e-3) ** 2 - 0.05 * (params["optimizer"] != "sgd")


def test_a_search_begins_with_each_architectures_own_recipe():
    first, second, third = study.propose(Space(), 0, [], 3)
    for found, arch in ((first, "baseline"), (second, "modified")):
        recipe = ARCHITECTURES[arch].recipe
        assert found == {"arch": arch} | {key: getattr(recipe, key) for key in Space().domains if key != "arch"}
    assert third not in (first, second)
    narrow = study.propose(Space(archs="modified", loss="bce", lr="1e-2:1e-1"), 0, [], 1)[0]
    assert narrow["batch_size"] == 10
    assert (narrow["arch"], narrow["loss"]) == ("modified", "bce")
    assert 1e-2 <= narrow["lr"] <= 1e-1


def test_the_same_seed_gives_the_same_trials_and_another_seed_others():
    one, again, other = (grown(Space(), seed, 2, 16, peak) for seed in (0, 0, 1))
    assert one == again
    assert [trial.params for trial in one] != [trial.params for trial in other]
    assert all(trial.params in [again.params for again in one] for trial in one[:2])


def test_a_proposal_does_not_depend_on_how_many_are_asked_for():
    history = grown(Space(), 0, 2, 14, peak)
    assert study.propose(Space(), 0, history, 1) == study.propose(Space(), 0, history, 3)[:1]


def test_proposals_lie_in_the_space_and_lr_is_spread_over_its_decades():
    space = Space(lr="1e-4:1e-2", batch_size="10:1000", epochs="2:4")
    drawn = study.propose(space, 0, [], 300)[2:]
    lr = np.log10([params["lr"] for params in drawn])
    assert lr.min() >= -4 and lr.max() <= -2
    assert np.mean(lr < -3) == pytest.approx(0.5, abs=0.1)
    assert {params["epochs"] for params in drawn} == {2, 3, 4}
    assert np.median([params["batch_size"] for params in drawn]) == pytest.approx(100, rel=0.35)
    assert {params["optimizer"] for params in drawn} == {"adam", "adamw", "sgd", "rmsprop", "nadam"}


def test_the_search_finds_the_peak():
    """After the random trials the proposals gather at the peak: their mean distance from it is smaller."""
    space = Space(archs="baseline", loss="mse", lr="1e-6:1", batch_size="10", epochs="5")
    trials = grown(space, 0, 2, 40, peak)
    miss = [abs(math.log10(trial.params["lr"] / 1e-3)) for trial in trials]
    assert np.mean(miss[20:]) < 0.6 * np.mean(miss[1:11])


def test_one_that_did_not_train_counts_as_the_worst_and_one_that_was_lost_for_nothing():
    params = study.propose(Space(), 0, [], 3)
    trials = [
        finish(0, params[0], 0.7),
        Trial(1, params[1], "failed", "did not train", (0.5, 0.5)),
        Trial(2, params[2], "failed"),
    ]
    states = optuna.trial.TrialState
    told = study.rivals(Space(), trials)
    assert [trial.state for trial in told] == [states.COMPLETE, states.COMPLETE, states.FAIL]
    assert [trial.value for trial in told] == [0.7, 0.0, None]
    assert [trial.intermediate_values for trial in told] == [{1: 0.4, 2: 0.7}, {}, {}]
    assert told[1].params == {key: params[1][key] for key in Space().searched}


def test_ties_go_to_the_lower_brier_score_then_to_the_earlier_trial():
    def made(number, value, brier, state="complete"):
        return Trial(number, {}, state, "", (value,), brier)

    trials = [made(0, 0.9, 0.1), made(1, 1.0, 0.2), made(2, 1.0, 0.1), made(3, 1.0, 0.1), made(4, 1.0, 0.0, "pruned")]
    assert [trial.number for trial in study.ranked(trials)] == [2, 3, 1, 0]
    assert study.ranked(trials[4:]) == []


def test_pruning_is_below_the_median_after_five_trials_and_three_epochs():
    """Optuna's rule in one line: stop where the best value so far lies below the median of the others at this epoch."""
    random = np.random.RandomState(0)
    curves = [tuple(np.sort(random.uniform(0.5, 1, 6))) for _ in range(30)]
    [params] = study.propose(Space(), 0, [], 1)
    for count in (3, 5, 12):
        others = [Trial(i, params, "complete", "trained", curve, 0.1) for i, curve in enumerate(curves[:count])]
        for curve in curves[15:]:
            judge = study.Judge(pickle.loads(pickle.dumps(study.rivals(Space(), others))))
            decisions = [judge.stops(epoch, value) for epoch, value in enumerate(curve, 1)]
            medians = [np.median([other.auprc[i] for other in others]) for i in range(6)]
            assert decisions == [count >= 5 and i >= 2 and max(curve[: i + 1]) < medians[i] for i in range(6)]


def test_importances_need_ten_trials_that_differ():
    space = Space(archs="baseline", loss="mse", batch_size="10", epochs="5")
    trials = grown(space, 0, 2, 30, peak)
    shares = study.importances(space, trials)
    assert sum(shares.values()) == pytest.approx(1)
    assert list(shares) == ["lr", "optimizer"]
    assert shares["lr"] > 0.5
    assert study.importances(space, trials) == shares
    assert study.importances(space, trials[:9]) == {}
    assert study.importances(space, grown(space, 0, 2, 12, lambda params: 1.0)) == {}
