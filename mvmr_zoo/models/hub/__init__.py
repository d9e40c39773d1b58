"""Download and upload checkpoint folders on the Hugging Face Hub, with huggingface_hub.

spec        parses `hf-hub:org/name@revision`
pull        returns a folder from the cache, or downloads it
push        uploads a folder to a repository in one commit
hub_errors  converts errors to messages of one line without the token
"""

from __future__ import annotations

from mvmr_zoo.models.hub.pull import pull
from mvmr_zoo.models.hub.push import Pushed, add_tag, push
from mvmr_zoo.models.hub.spec import HubSpec, check_tag, hub_organization, is_hub_spec, parse_hub_spec

__all__ = [
    "HubSpec",
    "Pushed",
    "add_tag",
    "check_tag",
    "hub_organization",
    "is_hub_spec",
    "parse_hub_spec",
    "pull",
    "push",
]
