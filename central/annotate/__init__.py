"""From frames to labels.

profile     what the project labels
boxes       what counts as a box on a frame
queue       which frame is asked next, and answering it: compare-and-set on its revision
proposals   machines' suggestions, renewed when another pack is released
auto        the reviewer that is nobody
client      the HTTP API for programs; oracle answers through it from known truth
formats/    how labels come in and go out, one file per format; archive unpacks, exchange stores and exports,
            folders and dicom take images without labels
datasets    snapshots, and what differs between two
editing     changing the profile while people work with it
errands     lending the queue to another tool, through bridges/
"""
