"""Pixels and messages to deltas. `base.py` is the contract; one file an engine; `registry.py` finds them.

OpenVINO reports its import to its maker over the network, from a process that it forks, unless the package that does
it is missing. So it is missing here: nothing that this service runs calls home.
"""

from __future__ import annotations

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
