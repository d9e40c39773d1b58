"""`plan.json`: settings of an embeddings folder, written before the first shard so that a later run can resume."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from mvmr_zoo._io import identity_of, read_json_object, write_whole
from mvmr_zoo.checkpoint import output_in_words
from mvmr_zoo.embed.folder import MANIFEST_FILE, EmbeddingsFacts, shard_name
from mvmr_zoo.embed.inputs import InputList
from mvmr_zoo.errors import DataError, printable

if TYPE_CHECKING:
    from mvmr_zoo.inference import Model

PLAN_FILE = "plan.json"
FOLDERS = ("img_emb", "metadata", "failures")

_SCHEMA = 1
_LOCK = ".lock"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Settings of an embeddings folder.

    Args:
        facts: The encoder.
        source: Display name of the source.
        inputs: Count and digest of the inputs.
        shard_rows: Inputs per shard.
    """

    facts: EmbeddingsFacts
    source: str
    inputs: InputList
    shard_rows: int

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.inputs.count // self.shard_rows)

    def name(self, shard: int) -> str:
        """The part of the file names that identifies a shard."""
        return shard_name(shard, self.shards)

    def bounds(self, shard: int) -> tuple[int, int]:
        """The first input of a shard, and the first of the next."""
        first = shard * self.shard_rows
        return first, min(first + self.shard_rows, self.inputs.count)


def facts_of(model: Model) -> EmbeddingsFacts:
    """The facts that identify the unit vectors of a model."""
    return EmbeddingsFacts(
        model=printable(model.spec),
        weights_digest=model.vectors_digest,
        preprocess_digest=model.preprocess.digest,
        dim=model.dim,
        normalized=True,
        output=model.output,
    )


@contextmanager
def claimed(base: Path) -> Iterator[Callable[[], None]]:
    """Create the folder if it is missing, and lock it against other commands until the block ends.

    Deletes partly written files of interrupted runs. Yields a function that raises DataError if the folder is not the
    locked one any more.

    Raises:
        DataError: The folder holds other files, or another command is writing to it.
    """
    if base.exists() and not base.is_dir():
        raise DataError(f"{base} is a file. Use a folder as --output.")
    if not (base / PLAN_FILE).is_file() and base.is_dir():
        other = sorted(path.name for path in base.iterdir() if path.name != _LOCK and not _is_part(path))
        if other:
            raise DataError(f"{base} contains {other[0]} but no {PLAN_FILE}. Use a new --output.")
    base.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(base / _LOCK, timeout=0):
            for folder in (base, *(base / name for name in FOLDERS)):
                for part in folder.glob(".*.part"):
                    part.unlink()
            locked = identity_of(base / _LOCK)

            def check() -> None:
                if identity_of(base / _LOCK) != locked:
                    raise DataError(
                        f"{base} was deleted or replaced while it was in use. Run the command again, or use another "
                        "--output."
                    )

            try:
                yield check
            finally:
                if (base / MANIFEST_FILE).exists():  # finished: later runs write nothing
                    (base / _LOCK).unlink(missing_ok=True)
    except Timeout:
        raise DataError(
            f"Another command is writing to {base}. Wait until it has finished, or use another --output."
        ) from None


def settle_plan(base: Path, plan: Plan) -> Plan:
    """Write the plan if the folder has none; otherwise return the existing plan, which must match.

    Raises:
        DataError: The existing plan has another encoder, list of inputs or shard size.
    """
    path = base / PLAN_FILE
    if not path.exists():
        values = dataclasses.asdict(plan.facts) | dataclasses.asdict(plan.inputs)
        values = {"schema": _SCHEMA, "source": plan.source, "shard_rows": plan.shard_rows} | values
        write_whole(path, json.dumps(values, indent=2) + "\n")
        return plan
    existing = _read_plan(path)
    advice = "Use another --output, or delete this folder."
    if (existing.facts.weights_digest, existing.facts.preprocess_digest, existing.facts.normalized) != (
        plan.facts.weights_digest,
        plan.facts.preprocess_digest,
        plan.facts.normalized,
    ):
        before, now = (output_in_words(facts.output, facts.dim) for facts in (existing.facts, plan.facts))
        if existing.facts.model != plan.facts.model:
            difference = f"created with the model {existing.facts.model}, not {plan.facts.model}"
        elif before != now:
            difference = f"created with the model output {before}, not {now}"
        else:
            difference = f"created with an earlier version of the model {existing.facts.model}"
        raise DataError(f"{base} was {difference}. {advice}")
    if existing.inputs != plan.inputs:
        raise DataError(
            f"{base} was created from another list: {existing.inputs.count} inputs of {existing.source}, now "
            f"{plan.inputs.count} of {plan.source}. {advice}"
        )
    if existing.shard_rows != plan.shard_rows:
        raise DataError(f"{base} was created with --shard-rows {existing.shard_rows}, not {plan.shard_rows}. {advice}")
    return existing


def _read_plan(path: Path) -> Plan:
    try:
        values = read_json_object(path)
        if values["schema"] != _SCHEMA:
            raise DataError(f"{path} has schema {values['schema']}; this release reads {_SCHEMA}.")
        return Plan(
            facts=EmbeddingsFacts.from_json(values),
            source=str(values["source"]),
            inputs=InputList(int(values["count"]), str(values["digest"])),
            shard_rows=int(values["shard_rows"]),
        )
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path} is damaged. Delete its folder and run the command again.") from None


def _is_part(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(".part")
