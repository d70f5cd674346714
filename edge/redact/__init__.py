"""What nobody may see: masks before the model looks, regions of secret things before anything is written.

    frame -> mask (always filled) -> model -> hide (box or head of each secret detection) -> encoder
                                                 ^
                              detectors of their own (faces, plates), on frames that are kept only

regions     pure functions of image and geometry
redactor    what one camera hides, put together
finder      a detector of somebody else's as a pack
An input image is never modified; where nothing is hidden, it is returned itself. What was asked to be hidden and cannot
be found by any model is an error, and no frame leaves: see `RedactError`.
"""

from __future__ import annotations

from edge.redact.redactor import Finder, RedactError, Redactor
from edge.redact.regions import Method, Part, Polygon, Regions, fill_masks, hide_regions, mask_boxes, region_of

__all__ = [
    "Finder",
    "Method",
    "Part",
    "Polygon",
    "RedactError",
    "Redactor",
    "Regions",
    "fill_masks",
    "hide_regions",
    "mask_boxes",
    "region_of",
]
