"""Elastic response distillation: where the teacher says much, the pupil must go on saying it.

Feng, Wang and Yuan, "Overcoming Catastrophic Forgetting in Incremental Object Detection via Elastic Response
Distillation", CVPR 2022. Responses of the teacher count where they stand out: those more than two standard deviations
above the mean of the image, for classes by the best class score of a cell (equation 4), for boxes by the largest logit
of its distribution over the sides (equation 6), thinned by NMS.

Beyond the paper, labels go before the teacher. It is not heard where they say otherwise: in a box of a class that it
never learned (it takes a bus for a car), or where it sees an object of a class that was looked for there and not found.
Where they say the same, it only keeps the pupil from becoming less sure of that class than it was, and leaves the box
to the label: at a camera that is new to it, its doubt would hold the pupil back. Else it teaches its mistakes, and the
new is not learned.

No label of a round speaks of blur, but its head stands on features that move: it goes on saying what the teacher says.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F

from central.learn.data.dataset import Batch
from central.learn.detect.loss import known
from central.learn.models.config import BINS
from central.learn.models.network import Raw, cells, expected_sides, to_boxes
from edge.runtime.nms import suppress

DEVIATIONS: Final = 2.0
TEMPERATURE: Final = 10.0
BOX_WEIGHT: Final = 0.25
BLUR_WEIGHT: Final = 1.0
"""Of the dense blur; it is of the size of 1, and nothing else pulls at it."""
NMS_IOU: Final = 0.5
"""Of the teacher's boxes; the paper's 0.005 leaves one of a queue of cars."""
MOST_BOXES: Final = 100
"""Boxes of one image that are held on to."""


def outstanding(values: Tensor) -> Tensor:
    """Return which of `values` ``[B, A]`` are more than DEVIATIONS standard deviations above the mean of their row."""
    return values > values.mean(1, keepdim=True) + DEVIATIONS * values.std(1, keepdim=True)


def heard(best: Tensor, batch: Batch, centres: Tensor, mine: Tensor) -> tuple[Tensor, Tensor]:
    """Return at which cells ``[B, A]`` no label tells whether an object of class `best` ``[B, A]`` is there, and at
    which one says that it is.

    `mine` are the classes that the teacher knows; both count as the batch does.
    """
    low, high = batch.boxes[:, None, :, :2], batch.boxes[:, None, :, 2:]
    at = centres[None, :, None]
    inside = ((at >= low) & (at < high)).all(-1) & (batch.classes >= 0).unsqueeze(1)
    agrees = (inside & (batch.classes.unsqueeze(1) == best.unsqueeze(2))).any(2)
    strange = (inside & ~torch.isin(batch.classes, mine).unsqueeze(1)).any(2)
    looked = known(batch, centres).gather(2, best.unsqueeze(2)).squeeze(2)
    return ~(agrees | strange | looked), agrees


def class_loss(
    pupil: Tensor, teacher: Tensor, listen: Tensor | None = None, agrees: Tensor | None = None
) -> Tensor:
    """Return the mean square difference of class logits ``[B, A, C]`` at the cells where the teacher stands out.

    `listen` ``[B, A]``: cells at which it is heard at all; `agrees` ``[B, A]``: cells at which a label says what it
    says, so that only what the pupil lacks of the teacher's best class counts.
    """
    chosen = outstanding(teacher.sigmoid().amax(2))
    apart = (teacher - pupil) ** 2
    if agrees is not None:
        best = F.one_hot(teacher.argmax(2), teacher.shape[2])
        apart = torch.where(agrees.unsqueeze(2), (teacher - pupil).clamp_min(0) ** 2 * best, apart)
    if listen is not None:
        chosen = chosen & (listen if agrees is None else listen | agrees)
    if not bool(chosen.any()):
        return pupil.sum() * 0.0
    return apart[chosen].mean()


def chosen_boxes(teacher: Raw, centres: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Return image and cell ``[N]`` of the teacher's boxes that stand out, after NMS over all classes."""
    strong = outstanding(teacher.sides.flatten(2).amax(2))
    scores = teacher.logits.sigmoid().amax(2)
    rows, places = [], []
    for row in range(len(strong)):
        own = strong[row].nonzero()[:, 0]
        if not len(own):
            continue
        distances = expected_sides(teacher.sides[row, own])[0] * strides[own].unsqueeze(1)
        boxes = to_boxes(centres[own], distances).cpu().numpy()
        best = scores[row, own].cpu().numpy()
        kept = suppress(boxes, best, torch.zeros(len(own), dtype=torch.int64).numpy(), NMS_IOU, MOST_BOXES)
        places.append(own[torch.from_numpy(kept).to(own.device)])
        rows.append(torch.full_like(places[-1], row))
    if not rows:
        empty = torch.zeros(0, dtype=torch.int64, device=strong.device)
        return empty, empty
    return torch.cat(rows), torch.cat(places)


def box_loss(pupil: Raw, teacher: Raw, centres: Tensor, strides: Tensor, listen: Tensor | None = None) -> Tensor:
    """Return the KL divergence of the side distributions at the chosen boxes, softened by TEMPERATURE.

    Each counts by the pupil's best class score, as in the paper; those outside `listen` ``[B, A]`` not at all.
    """
    rows, places = chosen_boxes(teacher, centres, strides)
    if listen is not None:
        told = listen[rows, places]
        rows, places = rows[told], places[told]
    if not len(rows):
        return pupil.sides.sum() * 0.0
    wanted = (teacher.sides[rows, places].reshape(-1, BINS) / TEMPERATURE).softmax(1)
    said = (pupil.sides[rows, places].reshape(-1, BINS) / TEMPERATURE).log_softmax(1)
    apart = F.kl_div(said, wanted, reduction="none").sum(1).view(-1, 4).mean(1) * TEMPERATURE**2
    weight = pupil.logits[rows, places].detach().sigmoid().amax(1)
    return (apart * weight).sum() / weight.sum().clamp_min(1e-6)


def blur_loss(pupil: Raw, teacher: Raw) -> Tensor:
    """Return the mean square difference of the dense blur ``[B, 1, H/8, W/8]``; 0 where one of them has none."""
    if pupil.blur is None or teacher.blur is None:
        return pupil.logits.sum() * 0.0
    return F.mse_loss(pupil.blur.float(), teacher.blur.float())


class ElasticTutor:
    """Holds a pupil to what `teacher`, a network of our own family, says of the classes that both know."""

    def __init__(self, teacher: Any, labels: tuple[str, ...], weight: float) -> None:
        self._teacher = teacher.eval()
        old = teacher.config.labels
        self._mine = [i for i, label in enumerate(labels) if label in old]
        self._its = [old.index(labels[i]) for i in self._mine]
        self._weight = weight

    @torch.no_grad()
    def _says(self, images: Tensor) -> Raw:
        self._teacher.to(images.device)
        raw: Raw = self._teacher.raw(images)
        return raw._replace(logits=raw.logits.float()[..., self._its], sides=raw.sides.float())

    def __call__(self, raw: Any, batch: Batch) -> Tensor:
        """Return the weighted loss of the pupil's `raw` outputs on `batch`; of blur alone where they share no class."""
        said = self._says(batch.images)
        blur = BLUR_WEIGHT * blur_loss(raw, said)
        if not self._mine:
            return blur
        own = raw._replace(logits=raw.logits.float()[..., self._mine], sides=raw.sides.float())
        centres, strides = cells(batch.images.shape[2], batch.images.shape[3], batch.images.device)
        mine = torch.tensor(self._mine, device=batch.images.device)
        listen, agrees = heard(mine[said.logits.argmax(2)], batch, centres, mine)
        kept = class_loss(own.logits, said.logits, listen, agrees)
        kept = kept + BOX_WEIGHT * box_loss(own, said, centres, strides, listen)
        return self._weight * kept + blur
