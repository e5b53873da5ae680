"""Kubernetes: what a release is in a cluster, the cluster's API, and what the cluster says of it.

`objects` makes the objects of a release, `api` is all that is asked of a cluster, `client` asks a real one by the
official library, `memory` is one in memory. `target` puts them together.
"""
