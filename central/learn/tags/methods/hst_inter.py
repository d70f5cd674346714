"""HST with its cross-image branch alone: what the other one is worth."""

from central.learn.tags.methods.hst import Hst

METHOD = Hst("hst_inter", "HST by likeness to prototypes alone", ("inter",))
