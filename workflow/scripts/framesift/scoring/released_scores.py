"""What made the scores that AKS's authors released: facts that scorers and published numbers share."""

from __future__ import annotations

#: The kind of scorer, and its checkpoint, behind each of them.
SCORERS = {"blip": "blip_itm", "clip": "clip", "sevila": "sevila"}
CHECKPOINTS = {"blip": "blip-itm-large-coco", "clip": "clip-vit-base-patch32", "sevila": "blip2-flan-t5-xl"}
