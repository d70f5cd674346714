"""The whole loop on one machine: broker, centre and two nodes, from one command.

    cameras     what the nodes watch: given videos, else sample video, else the synthetic street
    nodes       the nodes, real processes
    conductor   what a team would do between the steps: start rounds, release what came of them
    screen      where each step stands, for people
    once        once round the loop without a screen, with figures
    run         all of it together
"""

from central.demo.run import Wish, run

__all__ = ["Wish", "run"]
