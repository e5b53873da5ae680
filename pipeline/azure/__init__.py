"""Azure: signing in, its resources, and builds by its container registry.

The only place that imports Azure's libraries: an optional extra, imported when something of Azure is used.
"""
