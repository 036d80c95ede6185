import pytest

from tfbs.architectures import Recipe
from tfbs.datasets import Source
from tfbs.errors import ParameterError
from tfbs.settings import Job, Settings


def test_recipe_of_the_architecture_is_used_unless_overridden():
    assert Job().full_recipe == Recipe()
    assert Job(recipe={"lr": 0.01, "epochs": 3}).full_recipe == Recipe(lr=0.01, epochs=3)


def test_params_hold_simulation_settings_only_for_simulated_data():
    simulated, own = Job().params, Job(source=Source("peaks.csv", sequence_column="seq")).params
    assert simulated["motif"] == "AAAGAGGAAGTT"
    assert "sequence_column" not in simulated
    assert own["sequence_column"] == "seq"
    assert "motif" not in own
    assert simulated.keys() >= {"arch", "seed", "dataset", "lr", "batch_size", "epochs", "loss", "optimizer"}


@pytest.mark.parametrize(("name", "value"), [("seed", -1), ("references", "zeros"), ("n_references", 0)])
def test_values_out_of_range_are_refused(name, value):
    with pytest.raises(ParameterError, match=f"^{name}: expected "):
        Settings(**{name: value})
