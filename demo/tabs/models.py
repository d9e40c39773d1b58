"""The catalog: figures their authors publish and figures measured here, apart."""

from __future__ import annotations

from demo import markup
from demo.catalog import HEADS, model_rows


def models_page() -> str:
    """The models as a table, and how others come onto this machine."""
    return markup.table(HEADS, model_rows(), caption="Models known by name") + markup.note(
        "Published figures are their authors'; those measured here stand in the model's folder, with a 95 % interval.",
        "`mvmr-zoo fetch NAME` or `mvmr-zoo import FILE --as NAME` brings a model that its authors publish; a library "
        "is made with it by `mvmr-zoo index add FOLDER --model NAME --library NEW-FOLDER`.",
    )
