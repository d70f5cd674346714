"""Who may connect: the centre's own certificate authority, and the nodes that it let in.

authority   a small CA: its key, certificates for nodes, the broker and the centre, the list of revoked ones
nodes       the table of enrolments: add, revoke, list
lockout     what a revocation means for a broker that runs: new list, new rules, reload, end of the session
"""
