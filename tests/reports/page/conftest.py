"""The page that the tests of this folder look at."""

import pytest
from invented_runs import SMALL_DATA, invent_predictions, make_store

from reports.report import make_report


@pytest.fixture(scope="session")
def page(tmp_path_factory, small_data):
    store = make_store(
        tmp_path_factory.mktemp("page"),
        overrides=SMALL_DATA,
        seeds=(0, 1),
        state=lambda a, s: "failed" if (a["head"], s) == ("stqi", 1) else "done",
        table={"shape": "components", "published": ["tevit_msgshift_2019"]},
    )
    invent_predictions(store, "components")
    return make_report(store, "components").page
