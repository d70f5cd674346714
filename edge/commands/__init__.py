"""The commands of ``wayside-edge`` that are more than a few lines, one file each."""
