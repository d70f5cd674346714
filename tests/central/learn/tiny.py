"""Detectors of Transformers with a few thousand random weights, saved as a user would have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from central.learn.models.detr import library


def scramble(network: Any, seed: int = 0) -> Any:
    """Return `network` with noise on its weights: untrained ones score all queries alike."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return network.eval()


def _backbone(hub: Any) -> Any:
    return hub.HGNetV2Config(
        embedding_size=16, stem_channels=[3, 8, 16], hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1],
        stage_in_channels=[16, 16, 32, 48], stage_mid_channels=[8, 8, 16, 16], stage_out_channels=[16, 32, 48, 64],
        stage_num_blocks=[1, 1, 1, 1], stage_downsample=[False, True, True, True],
        stage_light_block=[False, False, True, True], stage_kernel_size=[3, 3, 5, 5],
        stage_numb_of_layers=[1, 1, 1, 1], out_indices=[2, 3, 4],
    )  # fmt: skip


def detr(kind: str, labels: tuple[str, ...], folder: Path | None = None) -> Any:
    """Return a tiny ``d_fine`` or ``deimv2`` for `labels`, saved in `folder` if there is one."""
    hub = library()
    config = hub.AutoConfig.for_model(
        kind, backbone_config=_backbone(hub), encoder_hidden_dim=32, encoder_in_channels=[32, 48, 64],
        encoder_ffn_dim=64, encoder_attention_heads=2, d_model=32, num_queries=20, decoder_in_channels=[32, 32, 32],
        decoder_ffn_dim=64, decoder_layers=2, decoder_attention_heads=2, decoder_n_points=[2, 2, 2], num_denoising=10,
        max_num_bins=8, lqe_hidden_dim=8, depth_mult=0.34, hidden_expansion=0.5, freeze_backbone_batch_norms=False,
        id2label=dict(enumerate(labels)), label2id={name: i for i, name in enumerate(labels)},
    )  # fmt: skip
    network = scramble(hub.AutoModelForObjectDetection.from_config(config))
    if folder is not None:
        network.save_pretrained(folder)
    return network
