"""Which image, which box, and which question next: what a person's second brings most.

    judged images -> pairs of a small and a large box of one class -> images that differ in theirs   pairs
    judged images -> yes or no, click, box: gain per second                                          ask
    a person who answers from the truth, at stated costs -> curves of AP50 over time                 simulate
"""
