"""Selected frames on disk until their receipt comes: one file per frame, bounded, and the least valuable goes first.

    add(message, value) -> file, fsynced      best(...) -> what to send next      receipt -> remove(ids)
                                                                     refused for good -> park(id, why)

    <folder>/{order}-{value}-{id}.frame     a frame that waits (record.py)
             {order}-{value}-{id}.dropped   one that was given up, emptied, until it is counted in the index
             damaged/  parked/              records put aside, each with its place in the counts (aside.py)
             index.json                     counts, and where the numbering goes on (index.py)
             .reserve                       space that a full disk gets back

`order` grows by one per record for the life of the spool, whatever the wall clock does; age is the time for which the
node ran since, for the same reason. The listing of the folder says what is there; the index only counts what is not
there any more.

Rules
- Never more than the quota in bytes (reserve and records put aside included), in frames and in age: the least valuable
  is evicted (of equal ones the newest) and counted; a frame that is itself the least valuable is refused and counted.
- Every frame that `add` accepted waits, was receipted, or is counted as evicted, damaged or parked, whenever the node
  was killed or its power cut: what is given up is renamed durably first, and deleted once the index has counted it.
- A full disk is met by evicting less valuable frames than the new one, then by giving up the reserve file so that the
  node's small writes go through, then by refusing the frame. It is never an error of the caller.
- At start damaged records move to ``damaged/``; the oldest of them are deleted beyond a small quota.
- With a key, records are encrypted. Records of another key stay, are counted as locked, and are not sent.
"""

from edge.spool.record import Cipher, LockedError, SpoolError, pack_record, unpack_record
from edge.spool.spool import Counters, Spool

__all__ = ["Cipher", "Counters", "LockedError", "Spool", "SpoolError", "pack_record", "unpack_record"]
