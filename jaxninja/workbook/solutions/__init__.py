"""The worked solutions; the exercises, the hints and the notebook are made from them.

The comment above each gradient has three parts, a rung of the hint ladder each:
`rule`, `formula` and `why`.
"""
