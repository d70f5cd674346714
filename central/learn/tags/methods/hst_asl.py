"""HST on the asymmetric loss instead of cross entropy: what is transferred counts as ASL counts it."""

from central.learn.tags.methods.asl import masked_asl
from central.learn.tags.methods.hst import Hst

METHOD = Hst("hst_asl", "HST, with easy absent cells hardly counting", base=masked_asl)
