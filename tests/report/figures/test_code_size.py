import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from caelab.report.figures.networks import fit_band

VALUES = st.lists(st.floats(1e-4, 10), min_size=4, max_size=12)


@given(VALUES)
def test_the_band_at_one_is_the_interval_of_the_intercept(errors: list[float]) -> None:
    assume(np.ptp(errors) > 1e-3)
    sizes = np.geomspace(64, 2048, len(errors))
    line = stats.linregress(np.log(sizes), np.log(errors))
    reach = stats.t.ppf(0.975, len(errors) - 2) * line.intercept_stderr
    low, high = fit_band(sizes, np.array(errors), np.array([1.0]))
    np.testing.assert_allclose(
        np.log([low[0], high[0]]), [line.intercept - reach, line.intercept + reach], atol=1e-6
    )


def test_points_on_a_power_law_have_no_band() -> None:
    sizes = np.array([64.0, 128.0, 512.0, 1024.0])
    low, high = fit_band(sizes, 3 * sizes**-0.7, np.array([100.0, 5000.0]))
    np.testing.assert_allclose(low, high, rtol=1e-9)
    np.testing.assert_allclose(low, [3 * 100**-0.7, 3 * 5000**-0.7], rtol=1e-9)
