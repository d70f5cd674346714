"""Elastic response distillation."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from central.learn.data.dataset import Batch
from central.learn.incremental.tutor import ElasticTutor, class_loss, heard, outstanding
from central.learn.models import ModelConfig, build

OLD, NEW = ("car", "person"), ("bus", "car", "person")


def network(labels: tuple[str, ...], seed: int = 0) -> Any:
    """Return a small network in evaluation mode."""
    torch.manual_seed(seed)
    made = build(ModelConfig(size="tiny", labels=labels, height=96, width=96, embedding=16)).eval()
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if name.startswith("detect.classes.") and weight.ndim > 1:
                weight.mul_(20)
    return made


def batch() -> Batch:
    """Return two noisy pictures without labels."""
    torch.manual_seed(7)
    images = torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8)
    empty, whole = torch.zeros(2, 1, 4), torch.tensor([0.0, 0.0, 96.0, 96.0]).repeat(2, 1, 1)
    return Batch(
        images, empty, torch.full((2, 1), -1), torch.zeros(2, 1), whole, torch.zeros(2, 1, 3, dtype=torch.bool)
    )  # fmt: skip


def test_tutor__nothing_to_say_to_itself() -> None:
    teacher = network(OLD)
    given = batch()
    loss = ElasticTutor(teacher, OLD, 1.0)(teacher.raw(given.images), given)
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-6)


def test_tutor__another_network_is_pulled_to_it() -> None:
    teacher, pupil, given = network(OLD), network(NEW, 1), batch()
    tutor = ElasticTutor(teacher, NEW, 1.0)
    rate = torch.optim.Adam(pupil.parameters(), 3e-3)
    losses = []
    for _ in range(12):
        loss = tutor(pupil.raw(given.images), given)
        rate.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        rate.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]


def test_tutor__new_classes_are_left_alone() -> None:
    teacher, given = network(OLD), batch()
    raw = network(NEW, 1).raw(given.images)
    logits = raw.logits.detach().requires_grad_()
    ElasticTutor(teacher, NEW, 1.0)(raw._replace(logits=logits), given).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert not bool(logits.grad[..., 0].any())
    assert bool(logits.grad[..., 1:].any())


def test_tutor__no_class_in_common() -> None:
    given = batch()
    raw = network(("tram",)).raw(given.images)._replace(blur=None)
    assert float(ElasticTutor(network(OLD), ("tram",), 1.0)(raw, given).detach()) == 0.0


def test_tutor__blur_stays_whatever_the_classes_are() -> None:
    teacher, given = network(OLD), batch()
    raw = teacher.raw(given.images)
    assert raw.blur is not None
    moved = raw._replace(blur=raw.blur.detach() + 0.5)
    for labels in (OLD, ("tram",)):
        mine = moved if labels == OLD else network(labels).raw(given.images)._replace(blur=moved.blur)
        assert float(ElasticTutor(teacher, labels, 1.0)(mine, given).detach()) == pytest.approx(0.25, abs=1e-4)


def test_class_loss__cells_that_do_not_stand_out_do_not_count() -> None:
    teacher = torch.full((1, 100, 2), -6.0)
    teacher[0, :3] = 4.0
    chosen = outstanding(teacher.sigmoid().amax(2))
    assert chosen.sum() == 3
    pupil = teacher + torch.where(chosen.unsqueeze(-1), 0.0, 5.0)
    assert float(class_loss(pupil, teacher)) == 0.0
    pupil[0, 0] += 1.0
    assert float(class_loss(pupil, teacher)) == pytest.approx(1 / 3)


def test_tutor__the_teacher_learns_nothing() -> None:
    teacher, pupil, given = network(OLD), network(NEW, 1), batch()
    ElasticTutor(teacher, NEW, 1.0)(pupil.raw(given.images), given).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None for p in teacher.parameters())


@pytest.mark.parametrize(
    ("label", "looked", "told"),
    [
        (-1, False, True),  # nobody looked: what the teacher sees may well be there
        (-1, True, False),  # looked for and not found: a false alarm
        (1, True, True),  # found
        (1, False, True),
        (0, False, False),  # a bus, which the teacher takes for a car
        (2, True, False),  # something else that it knows: not what it sees
    ],
)
def test_heard__labels_go_before_the_teacher(label: int, looked: bool, told: bool) -> None:
    box = torch.tensor([[[10.0, 10.0, 30.0, 30.0]]])
    whole, complete = torch.tensor([[[0.0, 0.0, 96.0, 96.0]]]), torch.tensor([[[False, looked, looked]]])
    given = Batch(torch.zeros(1, 3, 96, 96), box, torch.tensor([[label]]), torch.ones(1, 1), whole, complete)
    best = torch.ones(1, 1, dtype=torch.int64)  # a car, of bus, car and person
    listen, agrees = heard(best, given, torch.tensor([[20.0, 20.0]]), torch.tensor([1, 2]))
    assert (listen | agrees).item() is told
    assert agrees.item() is (told and label == 1)


def test_heard__not_where_there_is_only_padding() -> None:
    given = batch()._replace(regions=torch.zeros(2, 1, 4))
    best = torch.ones(2, 1, dtype=torch.int64)
    listen, agrees = heard(best, given, torch.tensor([[20.0, 20.0]]), torch.tensor([1, 2]))
    assert not (listen | agrees).any()


@pytest.mark.parametrize(("pupil", "loss"), [(3.0, 0.0), (0.5, 0.25 / 2)], ids=["more-sure", "less-sure"])
def test_class_loss__where_a_label_agrees_only_what_the_pupil_lacks_counts(pupil: float, loss: float) -> None:
    teacher = torch.full((1, 50, 2), -6.0)
    teacher[0, 0, 1] = 1.0
    said = teacher.clone()
    said[0, 0] = torch.tensor([9.0, pupil])
    agrees = torch.zeros(1, 50, dtype=torch.bool)
    agrees[0, 0] = True
    assert float(class_loss(said, teacher, ~agrees, agrees)) == pytest.approx(loss)
