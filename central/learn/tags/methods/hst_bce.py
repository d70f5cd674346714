"""HST with cross entropy on what is known and transferred, as it was published."""

from central.learn.tags.losses import masked_bce
from central.learn.tags.methods.hst import Hst

METHOD = Hst("hst_bce", "HST as it was published, with cross entropy", base=masked_bce)
