"""Several servers of one centre: they share the database, the images and the broker, and nothing else.

members     who is there: a row per server, with a beat that counts up while it lives
duties      background work that exactly one of them does, taken over where its holder dies
changes     what changed at one of them, told to the listeners of all

No clock decides anything here. A server is taken for dead by another one that saw its beat stand still for `TAKE_S` of
its own monotonic time; and it stops its duties by itself when it could not beat for `HOLD_S`, which is less. So neither
clocks that are wrong nor ones that are set can give a duty to two servers, or to none.
"""
