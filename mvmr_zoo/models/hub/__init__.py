"""The Hugging Face Hub: checkpoint folders, there and back. huggingface_hub does the transport.

spec     `hf-hub:org/name@revision`
pull     a folder from the Hub's cache, or else from the Hub
push     a folder to a repository, in one commit
explain  its errors in one line, without the token
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
