"""Packs on their way to the nodes.

registry    the packs that the centre holds
offers      which of them the nodes should run
transfer    the files, asked for piece by piece
tracking    how far each node is
"""
