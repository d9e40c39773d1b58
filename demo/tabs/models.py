"""Models tab: table of the known models."""

from __future__ import annotations

from demo import markup
from demo.catalog import HEADERS, model_rows


def models_table() -> str:
    """Return the table of models, and instructions for adding models."""
    return markup.table(HEADERS, model_rows(), caption="Known models") + markup.note(
        "Published figures come from the authors of a model. Measured figures come from the model folder and have a "
        "95 % confidence interval.",
        "Download a published model with `mvmr-zoo fetch NAME`. Import a file with `mvmr-zoo import FILE --as NAME`.",
        "Create a library with a model by `mvmr-zoo index add FOLDER --model NAME --library NEW-FOLDER`.",
    )
