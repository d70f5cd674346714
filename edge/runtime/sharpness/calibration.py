"""What a pack knows of the cost of blur: `blur.json`, where it has one."""

from __future__ import annotations

from edge.runtime import RuntimeFault
from protocols.blur import BLUR, BlurTable, decode
from protocols.pack import Pack, PackError


def table(pack: Pack) -> BlurTable | None:
    """Return the calibration of `pack`, None where it has none. Raises RuntimeFault where it is damaged."""
    if BLUR not in pack.manifest.files:
        return None
    try:
        return decode(pack.path(BLUR).read_bytes())
    except (PackError, OSError) as error:
        raise RuntimeFault(str(error)) from None
