"""``python -m central.learn.detect``: ``wayside-central train detect`` as a module, which ``torchrun`` needs."""

import typer

from central.learn.detect.command import train_detect

if __name__ == "__main__":
    typer.run(train_detect)
