"""Sightline on Ray Serve: `serve run sightline.cluster:build`. The only part that imports Ray.

Ray is the extra `sightline[cluster]`.
"""

from sightline.cluster.application import build

__all__ = ["build"]
