"""D-FINE and DEIMv2 through Transformers, behind the same interface as our own network.

    image -> detector (backbone, encoder, decoder with a distribution over box sides) -> boxes, scores, spread
                      encoder's coarsest features -> embedding, tags

A set of boxes without duplicates: nothing has to be suppressed. The dense blur map is absent, as these networks have no
features at stride 8 before the encoder mixes them.
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn

from central.learn.models.config import check_left_out
from central.learn.models.heads import EmbeddingHead, TagHead

KINDS: Final = ("d_fine", "deimv2")
"""Architectures of Transformers (``model_type``) that this family holds: those with distributions over box sides."""
PER_CLASS: Final = ("class_embed.", "enc_score_head.", "denoising_class_embed.")
"""Weights of the detector whose first axis is the classes."""
NOT_OURS: Final = frozenset(
    ("id2label", "label2id", "num_labels", "architectures", "_name_or_path", "transformers_version", "dtype")
)
"""Keys of a Transformers configuration that say where it came from, or that our labels replace."""
UNTRACED_CHECKS: Final = "TRANSFORMERS_DISABLE_TORCH_CHECK"
"""Environment variable that takes data-dependent checks out of the forward pass, which the exporter cannot trace."""


class DetrError(ValueError):
    """A detector that cannot be used here. The text says which, why, and what to do."""


class DetrConfig(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="family", tag="detr"
):
    """A detector of Transformers, fully described: its weights' origin is not needed to build it again."""

    architecture: dict[str, Any]
    """Its configuration as Transformers writes it, ``model_type`` included."""
    labels: Annotated[tuple[str, ...], Meta(min_length=1, max_length=1000)]
    tags: tuple[str, ...] = ()
    size: str = "detr"
    embedding: Annotated[int, Meta(ge=8, le=1024)] = 64
    """Dimension D of the frame embedding."""
    height: Annotated[int, Meta(ge=64, le=2048)] = 640
    """Input height in pixels, a multiple of 32."""
    width: Annotated[int, Meta(ge=64, le=2048)] = 640
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Subtracted from RGB in 0..1, as the weights were trained."""
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """What RGB in 0..1, less `mean`, is divided by."""
    without: tuple[str, ...] = ()
    """Heads that are left out: ``embedding`` (tags are left out by having none)."""

    def __post_init__(self) -> None:
        check_left_out(self.without, ("embedding",))
        if self.architecture.get("model_type") not in KINDS:
            kind = self.architecture.get("model_type")
            raise ValueError(f"a detector of the kind {kind!r}: choose {' or '.join(KINDS)}")
        if self.height % 32 or self.width % 32:
            raise ValueError(f"input {self.height}x{self.width}: both sides must be multiples of 32")
        if len(set(self.labels)) != len(self.labels) or len(set(self.tags)) != len(self.tags):
            raise ValueError("labels and tags must not repeat")


class Found(NamedTuple):
    """What the losses and the outputs are made from. B images, L decoder layers (one outside training), Q queries."""

    inner: Any
    """All that the detector without its loss gives."""
    embedding: Tensor | None
    """``[B, D]``, unit length."""
    tags: Tensor | None
    """``[B, T]`` logits."""


def library() -> Any:
    """Return Transformers, its untraceable checks off. Raises DetrError where it is not installed."""
    os.environ.setdefault(UNTRACED_CHECKS, "1")
    try:
        import transformers
    except ImportError:
        raise DetrError("Transformers is not installed; pip install 'wayside[train]'") from None
    hub: Any = transformers
    hub.utils.logging.disable_progress_bar()
    return hub


def faults() -> tuple[type[Exception], ...]:
    """Return what Transformers raises for folders, names and configurations that it cannot use."""
    from huggingface_hub.errors import StrictDataclassError

    return (ImportError, OSError, ValueError, TypeError, KeyError, RuntimeError, StrictDataclassError)


def _describe(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def configure(
    source: str, labels: tuple[str, ...], tags: tuple[str, ...] = (), height: int = 640, width: int = 640
) -> DetrConfig:
    """Return the configuration of the detector at `source`, a local folder or hub name, for our `labels`.

    Raises DetrError.
    """
    try:
        found = library().AutoConfig.from_pretrained(source)
    except faults() as error:
        why = _describe(error)
        raise DetrError(f"{source}: no detector to start from ({why}); give a folder or a hub name") from None
    architecture = {name: value for name, value in found.to_dict().items() if name not in NOT_OURS}
    if architecture.get("model_type") not in KINDS:
        raise DetrError(f"{source}: a {architecture.get('model_type')!r}; this family holds {' and '.join(KINDS)}")
    plain = msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(architecture, str_keys=True)))
    return DetrConfig(architecture=plain, labels=labels, tags=tags, height=height, width=width)


class DetrNetwork(nn.Module):
    """The detector and our heads. Input ``[B, 3, H, W]``, RGB 0..255 (uint8 or float)."""

    shift: Tensor
    scale: Tensor
    trunk: Final = ("detector.model.backbone.", "detector.model.conv_encoder.", "detector.model.encoder.")
    """Prefixes of what training of the heads alone leaves as it is."""
    nms_iou: Final = 1.0
    heads: dict[str, str]
    """Heads that learn from boxes and tags, and the prefix of their weights."""

    def __init__(self, config: DetrConfig) -> None:
        super().__init__()
        self.config = config
        hub = library()
        given = dict(config.architecture)
        try:
            described = hub.AutoConfig.for_model(given.pop("model_type"), **given, num_labels=len(config.labels))
            self.detector: Any = hub.AutoModelForObjectDetection.from_config(described)
        except faults() as error:
            raise DetrError(f"the architecture cannot be built: {_describe(error)}") from None
        channels = int(described.encoder_hidden_dim)
        self.register_buffer("shift", torch.tensor(config.mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("scale", 1 / (torch.tensor(config.deviation).view(1, 3, 1, 1) * 255), persistent=False)
        self.embedding: EmbeddingHead | None = (
            EmbeddingHead(channels, config.embedding) if "embedding" not in config.without else None
        )
        self.tags: TagHead | None = TagHead(channels, len(config.tags)) if config.tags else None
        self.heads = {"detect": "detector."} | ({"tags": "tags."} if config.tags else {})

    def raw(self, image: Tensor, targets: list[dict[str, Tensor]] | None = None) -> Found:
        """Return what the losses need; `targets` (Transformers' form) feed the denoising queries of training."""
        inner = self.detector.model((image.float() - self.shift) * self.scale, labels=targets)
        coarse = inner.encoder_last_hidden_state[-1]
        return Found(
            inner,
            self.embedding(coarse) if self.embedding is not None else None,
            self.tags(coarse) if self.tags is not None else None,
        )

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return what the graph gives for one image ``[1, 3, height, width]`` of the configured size.

        boxes ``[Q, 4]`` xyxy and spread ``[Q, 4]`` in input pixels, scores ``[Q, C]``, embedding ``[1, D]``, tags
        ``[1, T]`` 0..1.
        """
        found = self.raw(image)
        inner = found.inner
        cx, cy, w, h = inner.intermediate_reference_points[0, -1].unbind(-1)
        size = torch.tensor([self.config.width, self.config.height] * 2, dtype=cx.dtype, device=cx.device)
        boxes = torch.stack((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), -1) * size
        spread = self._spread(inner.intermediate_predicted_corners[0, -1], inner.initial_reference_points[0, -1])
        out = {"boxes": boxes, "scores": inner.intermediate_logits[0, -1].sigmoid(), "spread": spread * size}
        if found.embedding is not None:
            out["embedding"] = found.embedding
        if found.tags is not None:
            out["tags"] = found.tags.sigmoid()
        return out

    def _spread(self, corners: Tensor, initial: Tensor) -> Tensor:
        """Return the standard deviation ``[Q, 4]`` of the sides, shares of the input.

        corners ``[Q, 4 * bins]`` logits; initial ``[Q, 4]`` cxcywh. A side moves by W(n) * extent / |a| (D-FINE,
        Peng et al., ICLR 2025, equations 2 and 4).
        """
        decoder = self.detector.model.decoder
        support = side_support(int(decoder.max_num_bins), decoder.up, decoder.reg_scale)
        probability = corners.reshape(len(corners), 4, -1).softmax(-1)
        mean = (probability * support).sum(-1, keepdim=True)
        deviation = (probability * (support - mean) ** 2).sum(-1).clamp_min(1e-12).sqrt()
        moved: Tensor = deviation * torch.cat((initial[:, 2:], initial[:, 2:]), -1) / decoder.reg_scale.abs()
        return moved

    def left_out(self) -> frozenset[str]:
        """Return the names of weights that an exported graph rightly lacks.

        Those that only training uses (denoising, the heads of all decoder layers but the last), and constants that
        the graph holds folded into others.
        """
        early, folded = self.early(), ("reg_scale", "up", "num_points_scale")
        return frozenset(
            name
            for name in self.state_dict()
            if "denoising_class_embed" in name or name in early or name.split(".")[-1] in folded
        )

    def early(self) -> dict[str, str]:
        """Return the weights of the heads of all decoder layers but the last, each with its twin in the last layer."""
        last = int(self.detector.config.decoder_layers) - 1
        parts = [(f"{kind}.{i}.", f"{kind}.{last}.") for kind in ("class_embed", "lqe_layers") for i in range(last)]
        return {name: name.replace(own, end) for name in self.state_dict() for own, end in parts if own in name}


def side_support(bins: int, up: Tensor, curve: Tensor) -> Tensor:
    """Return the support points W(0..bins) of the side distributions, dense around 0 and doubled at both ends.

    `up` ``[1]`` the largest regular offset and `curve` ``[1]`` the curvature (D-FINE, equation 4).
    """
    most = up.abs() * curve.abs()
    step = (most + 1) ** (2 / (bins - 2))
    powers = torch.arange(1, bins // 2, device=up.device, dtype=up.dtype)
    right = step**powers - 1
    zero = torch.zeros_like(up)
    return torch.cat((-2 * most, -right.flip(0), zero, right, 2 * most))


def pretrained(source: str, config: DetrConfig) -> dict[str, Tensor]:
    """Return the weights at `source` (safetensors only) by the names of a `DetrNetwork`, fitted to our labels.

    Classes of the same name keep their weights, others are left to start fresh where none is known. Raises DetrError.
    """
    try:
        model = library().AutoModelForObjectDetection.from_pretrained(source, use_safetensors=True)
    except faults() as error:
        raise DetrError(f"{source}: no weights to start from ({_describe(error)})") from None
    names = {str(name): int(index) for index, name in model.config.id2label.items()}
    fresh = DetrNetwork(config).detector.state_dict()
    found = {}
    for name, tensor in model.state_dict().items():
        if any(part in name for part in PER_CLASS) and name in fresh:
            tensor = _fit(tensor, fresh[name], names, config.labels)
        found[f"detector.{name}"] = tensor.detach().clone()
    return found


def _fit(tensor: Tensor, fresh: Tensor, names: dict[str, int], labels: tuple[str, ...]) -> Tensor:
    fitted = fresh.clone()
    for row, label in enumerate(labels):
        if label in names and names[label] < len(tensor):
            fitted[row] = tensor[names[label]]
    return fitted
