"""Discovery: where the objects are that tags speak of, and what their outlines are.

    tags -> classify: a trunk that has seen no box        images -> proposals/: boxes of anything
         -> features: what the frozen trunk shows in each box, kept on disk
         -> fit: heads (two streams, refinements by seeds/, sides), a few drawn boxes beside the tags
         -> targets: labels with weights for `train detect`, masks/: outlines; the teacher ``discover``: proposals
         -> active/: which image, which box, which question next

Methods are those of weakly supervised detection; each file names its own. Boxes never teach unless a person drew them.
"""
