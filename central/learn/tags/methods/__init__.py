"""Ways to learn tags from partial labels. One file each."""
