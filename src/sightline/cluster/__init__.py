"""Sightline on Ray Serve: `serve run sightline.cluster:build`. The only part that imports Ray.

Ray is the extra `cluster`: `pip install '.[cluster]'` in a clone.
"""

from sightline.cluster.application import build

__all__ = ["build"]
