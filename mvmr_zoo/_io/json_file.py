"""Read a JSON object from an untrusted file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mvmr_zoo._io.regular_file import read_regular
from mvmr_zoo.errors import one_line


def read_json_object(path: Path) -> dict[str, Any]:
    """Read the object in a JSON file.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file cannot be read, is not JSON, is nested too deeply, or does not hold an object.
    """
    try:
        values = json.loads(read_regular(path).decode())
        json.dumps(values, ensure_ascii=False).encode()  # rejects unpaired surrogates
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"cannot be read as JSON ({one_line(error)})") from None
    if not isinstance(values, dict):
        raise ValueError(f"expected a JSON object, got {type(values).__name__}")
    return values
