"""HST with its intra-image branch alone: what the other one is worth."""

from central.learn.tags.methods.hst import Hst

METHOD = Hst("hst_intra", "HST by co-occurrence in the image alone", ("intra",))
