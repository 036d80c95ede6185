import numpy as np
import pytest

from tfbs import modisco
from tfbs.errors import AttributionError, ParameterError
from tfbs.modisco import Discovery


def test_windows_follow_the_length():
    assert modisco.windows(50)["sliding_window_size"] == modisco.windows(101)["sliding_window_size"] == 12
    assert modisco.windows(1000)["sliding_window_size"] == 21
    assert modisco.windows(8)["sliding_window_size"] == 8


@pytest.mark.parametrize(("name", "value"), [("max_seqlets", 10), ("min_seqlets", 1), ("leiden_runs", 0)])
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(ParameterError, match=f"{name}: expected a whole number of at least"):
        Discovery(**{name: value})


def test_a_failure_in_the_process_is_told_in_a_sentence():
    ones = np.ones((30, 50, 4), np.float32)
    with pytest.raises(AttributionError, match=r"Expected patterns from TF-MoDISco, received an error \(\w+Error"):
        modisco.find(np.zeros((30, 50), np.uint8), ones, Discovery())
