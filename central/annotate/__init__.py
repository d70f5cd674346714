"""From frames to labels.

profile     what the project labels
boxes       what counts as a box on a frame
queue       which frame is asked next, and answering it: compare-and-set on its revision
proposals   machines' suggestions, renewed when another pack is released
auto        the reviewer that is nobody
client      the HTTP API for programs; oracle answers through it from known truth
formats/    how labels come in and go out, one file per format
"""
