"""``python -m central.learn.ssl``: what ``torchrun`` starts in every process."""

from __future__ import annotations

import typer

from central.learn.ssl.command import train_ssl

if __name__ == "__main__":
    typer.run(train_ssl)
