"""Every switch of a study as a typed, validated field.

A :class:`Config` is a value: frozen, comparable, serialisable.  The model is
``build_model(config)``; nothing else decides what it computes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from core.config.strict import Strict

PVTName = Literal["pvt_v2_b0", "pvt_v2_b1", "pvt_v2_b2", "pvt_v2_b3", "pvt_v2_b4", "pvt_v2_b5"]
ResNetName = Literal["resnet50", "resnet101"]
SwinName = Literal["swin_t", "swin_s", "swin_b", "swin_l"]
HeadKind = Literal["stqi", "per_frame", "stqi_unshared", "mean", "relative_attention", "gru"]


def _not_boolean(value: Any) -> Any:
    """Python counts true as 1; a user who writes it for a number has erred."""
    if isinstance(value, bool):
        raise PydanticCustomError("boolean_number", "Input should be a number, not true or false")
    return value


Integer = Annotated[int, BeforeValidator(_not_boolean)]
Number = Annotated[float, BeforeValidator(_not_boolean)]
Whole = Annotated[Integer, Field(ge=0)]
Count = Annotated[Integer, Field(ge=1)]
Proportion = Annotated[Number, Field(ge=0, le=1)]
PartOfWhole = Annotated[Number, Field(gt=0, lt=1)]
Weight = Annotated[Number, Field(ge=0)]
Positive = Annotated[Number, Field(gt=0)]
ImageSize = tuple[Count, Count]


class Section(Strict):
    """A group of switches, each described below its default; numbers are finite."""

    model_config = ConfigDict(allow_inf_nan=False, use_attribute_docstrings=True)


class BackboneConfig(Section):
    """The network that turns each frame into four feature maps (strides 4 to 32)."""

    name: Literal[PVTName, ResNetName, SwinName] = "pvt_v2_b1"
    """architecture and variant"""

    width: Annotated[Integer, Field(ge=8, multiple_of=8)] | None = None
    """channels of the first stage; none: the variant's own"""

    drop_path: Proportion = 0.1
    """largest stochastic-depth rate (last block)"""

    frozen_stages: Annotated[Integer, Field(ge=-1, le=4)] = -1
    """stages that are not trained: -1 none, 0 the stem, 1 also stage 1, ..."""

    norm_eval: bool = False
    """keep batch norm in eval mode while training"""

    temporal: Literal["messengers", "channel_shift", "mean", "attention"] = "messengers"
    """what mixes a clip's frames: messengers, as section messenger says (at messenger.tokens=0
    nothing does); instead of them channel_shift: of the channels at the entry of each block (TSM);
    mean: half of each stage's output becomes its mean over time; attention: over time, after the
    last stage"""

    pretrained: Path | None = None
    """weights file of the backbone, in its public format"""

    @model_validator(mode="after")
    def _width_fits_attention(self) -> Self:
        heads = {"swin_t": 3, "swin_s": 3, "swin_b": 4, "swin_l": 6}.get(self.name, 1)
        if self.width is not None and self.width % heads:
            raise ValueError(
                f"backbone.width={self.width} does not divide into the {heads} "
                f"attention heads of {self.name}"
            )
        return self


class MessengerConfig(Section):
    """Messenger tokens of the backbone and their shift along time (paper, section 3.2)."""

    tokens: Whole = 32
    """messenger tokens a frame; 0: none (a plain backbone)"""

    shift: bool = True
    """roll the tokens along time; false: they stay"""

    shift_steps: tuple[Integer, ...] | tuple[tuple[Integer, ...], ...] = (1, -1, 2, -2)
    """one list for all stages, or four lists, one a stage"""

    stages: tuple[Annotated[Integer, Field(ge=1, le=4)], ...] = (1, 2, 3, 4)
    """consecutive stages that carry messengers"""

    @model_validator(mode="after")
    def _stages_and_steps(self) -> Self:
        if not self.stages or self.stages != tuple(
            range(self.stages[0], self.stages[0] + len(self.stages))
        ):
            raise ValueError(
                f"messenger.stages={list(self.stages)} must be consecutive and rising, such as "
                "[1, 2, 3, 4] or [3, 4]; to have no messengers set messenger.tokens=0"
            )
        by_stage = bool(self.shift_steps) and isinstance(self.shift_steps[0], tuple)
        if by_stage and len(self.shift_steps) != 4:
            raise ValueError(
                "messenger.shift_steps has a list for each stage, so it needs 4 lists, "
                f"not {len(self.shift_steps)}"
            )
        return self

    def steps_of_stage(self, stage: int) -> tuple[int, ...]:
        """Shift steps of ``stage`` (1 to 4); empty where nothing is rolled."""
        if not self.tokens or not self.shift or stage not in self.stages or not self.shift_steps:
            return ()
        steps = self.shift_steps
        chosen = steps[stage - 1] if isinstance(steps[0], tuple) else steps
        return tuple(int(s) for s in chosen)


class HeadConfig(Section):
    """The query head: a cascade of box and mask heads over shared queries (section 3.3)."""

    kind: HeadKind = "stqi"
    """stqi: attention over queries and, with the same weights, over time; per_frame: no attention
    over time; stqi_unshared: over time with weights of its own; instead of STQI mean: a query gets
    its mean over time; relative_attention: stqi_unshared that knows how far apart frames are; gru:
    a query goes through a bidirectional GRU over the frames; the last two know the order
    (data.clip_order)"""

    queries: Count = 100
    """object queries a clip"""

    stages: Count = 6
    """cascade stages, each with weights of its own"""

    classes: Count = 40
    """object categories"""

    channels: Annotated[Integer, Field(ge=8)] = 256
    """channels of the FPN and of the queries"""

    attention_heads: Count = 8
    """heads of the queries' self-attention"""

    ffn_channels: Count = 2048
    """hidden channels of the feed-forward network"""

    dynamic_channels: Count = 64
    """hidden channels of the dynamic convolution"""

    roi_base: Positive = 56.0
    """box size (pixels) below which RoIAlign reads the finest level"""

    mask_convs: Whole = 4
    """3x3 convs of the mask head"""

    class_weight: Weight = 2.0
    """weight of the classes' focal loss"""

    l1_weight: Weight = 5.0
    """weight of the boxes' L1 loss"""

    giou_weight: Weight = 2.0
    """weight of the boxes' GIoU loss"""

    dice_weight: Weight = 8.0
    """weight of the masks' Dice loss"""

    bce_weight: Weight = 0.0
    """weight of the masks' binary cross-entropy, beside Dice"""

    focal_alpha: Proportion = 0.25
    """focal loss: weight of what is there, against what is not"""

    focal_gamma: Weight = 2.0
    """focal loss: how much less what is known well counts; matching keeps the published alpha and
    gamma"""

    auxiliary_weight: Weight = 1.0
    """weight of the losses of all stages but the last"""

    @model_validator(mode="after")
    def _channels_divide(self) -> Self:
        if self.channels % self.attention_heads:
            raise ValueError(
                f"head.channels={self.channels} does not divide into "
                f"head.attention_heads={self.attention_heads} heads"
            )
        if self.kind == "gru" and self.channels % 2:
            raise ValueError(
                f"head.kind=gru halves head.channels={self.channels} between its two directions: "
                "use an even number"
            )
        return self


class SyntheticConfig(Section):
    """The generated dataset; from ``travel`` on, dials of how much time matters."""

    videos: Annotated[Integer, Field(ge=2)] = 160
    """videos, both splits together"""

    frames: Count = 8
    """frames a video"""

    size: ImageSize = (64, 96)
    """height, width of the frames"""

    seed: Whole = 0
    """seed of the generator"""

    travel: Annotated[Number, Field(ge=0, le=3)] = 0.25
    """how far instances go round in a video, in gaps to the next one; well above 1 their places do
    not tell who is who"""

    hidden: Proportion = 0.0
    """share of an instance's frames in which its look, which tells its class and who it is, is
    painted over; at least one frame shows it"""

    lookalikes: Proportion = 0.0
    """share of videos whose instances share look and class: only motion tells who is who"""

    motion_classes: bool = False
    """classes are still, moving and pulsating; looks say nothing"""

    blinking: Proportion = 0.0
    """share of videos whose classes are steady red, steady blue and blinking between the two: no
    single frame tells blinking from steady"""

    light: Proportion = 0.0
    """share of videos whose class, of every instance, is the light of the scene: amber, green or
    alternating between the two"""

    @model_validator(mode="after")
    def _one_kind_of_classes(self) -> Self:
        dials = ("blinking", "light")
        shares = {name: getattr(self, name) for name in dials}
        used = [f"data.synthetic.{name}={share}" for name, share in shares.items() if share]
        if self.blinking + self.light > 1 + 1e-9:
            raise ValueError(
                f"{' and '.join(used)} are shares of the videos, and a video is of one kind: "
                "together they are at most 1"
            )
        if used and self.motion_classes:
            raise ValueError(
                f"{used[0]} and data.synthetic.motion_classes=true both say what the classes are: "
                "use one of them"
            )
        if used and self.frames < 2:
            raise ValueError(
                f"{used[0]} needs videos of two frames or more, not data.synthetic.frames=1"
            )
        if self.blinking and self.hidden:
            raise ValueError(
                f"data.synthetic.hidden={self.hidden} paints over the colours that tell the "
                f"classes of data.synthetic.blinking={self.blinking}: use one of them"
            )
        return self


class AugmentConfig(Section):
    """What changes training clips beyond resizing and flip; as published, nothing."""

    photometric: Proportion = 0.0
    """share of clips in another light: brightness, contrast, colours"""

    crop: Proportion = 0.0
    """share of clips of which a part is cropped, then resized"""

    crop_least: Annotated[Number, Field(gt=0, le=1)] = 0.5
    """least share of the height, and of the width, that a crop has"""

    jitter: tuple[Positive, Positive] = (1.0, 1.0)
    """least and largest factor by which a clip's picture is scaled inside its frame (large-scale
    jitter: [0.1, 2])"""

    reverse: Proportion = 0.0
    """share of clips played backwards (data.clip_order=sorted)"""

    copy_paste: Proportion = 0.0
    """share of clips with instances of another video pasted in"""

    @model_validator(mode="after")
    def _jitter_rises(self) -> Self:
        if self.jitter[0] > self.jitter[1]:
            raise ValueError(
                f"data.augment.jitter={list(self.jitter)}: the least factor comes first"
            )
        return self


class DataConfig(Section):
    """Which videos, which split, and how clips are made of them."""

    root: str = "synthetic"
    """'synthetic', or a folder in YouTube-VIS or COCO format"""

    annotations: str | None = None
    """annotation file, from root; none: found by its usual names"""

    images: str | None = None
    """image folder, from root; none: found by its usual names"""

    holdout: PartOfWhole = 0.2
    """share of the videos held out for scoring"""

    split_seed: Whole = 0
    """seed of the held-out split"""

    split_file: Path | None = None
    """a recorded split (JSON); none: drawn from holdout and split_seed"""

    clip_length: Count = 5
    """frames of a training clip"""

    clip_order: Literal["random", "sorted"] = "random"
    """order of a training clip's frames; published: random"""

    clip_range: Count | None = None
    """most frames between a clip's anchor and its other frames; none: all the video"""

    pseudo_clips: Literal["off", "images", "all"] = "off"
    """clips of one frame, turned, moved and scaled anew each time: of images, or of all videos"""

    mix: tuple[tuple[str, PartOfWhole], ...] = ()
    """other datasets to train on, each a folder or annotation file and its share of the clips:
    [[PATH, 0.5]]; classes go by name"""

    train_sizes: tuple[ImageSize, ...] = Field(default=((640, 360), (960, 480)), min_length=1)
    """(long side, short side) to resize to"""

    train_resize: Literal["range", "choice"] = "range"
    """range: a scale between the first and the last size; choice: one of the sizes"""

    test_size: ImageSize = (640, 360)
    """(long side, short side) when predicting"""

    flip: Proportion = 0.5
    """share of training clips mirrored left to right"""

    workers: Whole = 2
    """decoding processes"""

    augment: AugmentConfig = AugmentConfig()
    synthetic: SyntheticConfig = SyntheticConfig()

    @model_validator(mode="after")
    def _mix_leaves_something(self) -> Self:
        if sum(share for _, share in self.mix) > 0.999:
            raise ValueError("data.mix: its shares leave no clips of data.root")
        if any(root == "synthetic" for root, _ in self.mix):
            raise ValueError(
                "data.mix: 'synthetic' is generated for data.root alone; tevit data make synthetic "
                "writes a folder to mix in"
            )
        return self


class TrainConfig(Section):
    """Optimisation, as published unless a field says otherwise."""

    steps: Count = 9200
    """optimiser steps"""

    clips: Count = 16
    """clips an optimiser step, shared out among the processes and forward passes; published: 2 on
    each of 8 GPUs"""

    accumulate: Count = 1
    """forward passes an optimiser step"""

    lr: Positive = 2.5e-4
    """peak learning rate"""

    backbone_lr: Weight = 0.1
    """multiplier of lr for the backbone"""

    layer_decay: Annotated[Number, Field(gt=0, le=1)] = 1.0
    """factor of the backbone's rate from each block to the one before it; the last block has it
    once (as BEiT)"""

    optimizer: Literal["adamw", "sgd"] = "adamw"
    """update rule"""

    momentum: Annotated[Number, Field(ge=0, lt=1)] = 0.9
    """momentum of sgd"""

    weight_decay: Weight = 1e-4
    """weight decay: decoupled (adamw), or added to gradients (sgd)"""

    decay_norms: bool = True
    """decay norms and biases too, as published; false: matrices and kernels alone"""

    clip_norm: Positive = 0.1
    """largest gradient norm"""

    schedule: Literal["step", "one_cycle", "cosine", "wsd"] = "step"
    """after the warm-up, step: /10 at the milestones; one_cycle: half a cosine down to 0; cosine:
    the same down to final_lr; wsd (warm-up, stable, decay): constant, then straight down to
    final_lr"""

    warmup: Whole = 770
    """steps of linear warm-up"""

    milestones: tuple[Count, ...] = (6100, 8500)
    """steps of the /10 drops"""

    final_lr: Proportion = 0.0
    """cosine, wsd: share of the peak rate at the end"""

    cooldown: Annotated[Number, Field(gt=0, le=1)] = 0.2
    """wsd: share of the steps, the last ones, in which the rate falls"""

    ema: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """decay of an exponential moving average of the weights, kept beside them
    (inference.weights=ema predicts from it); 0: none"""

    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: mixed precision (autocast)"""

    checkpointing: bool = False
    """gradient checkpointing: less memory, a second forward pass, the same numbers"""

    compile: bool = False
    """torch.compile of backbone, neck and box heads; numbers differ in the last bits, after a
    resumption too"""

    sync_batch_norm: bool = True
    """several processes: batch norm over the clips of all of them, as one process with all clips
    would; false, as published: over each process's own"""

    init: Path | None = None
    """checkpoint to start from (ours or a published .pth)"""

    checkpoint_every: Count = 500
    """steps between checkpoints"""

    log_every: Count = 10
    """steps between lines of the metric history"""

    eval_every: Whole = 0
    """steps between scores of the held-out videos, which the history records and nothing else
    heeds; 0: none"""

    @model_validator(mode="after")
    def _clips_divide(self) -> Self:
        if self.clips % self.accumulate:
            raise ValueError(
                f"train.clips={self.clips} does not divide into "
                f"train.accumulate={self.accumulate} forward passes"
            )
        if self.compile and self.checkpointing:
            raise ValueError(
                "train.compile=true chooses itself what is computed anew in the backward pass: set "
                "train.checkpointing=false, or train.compile=false"
            )
        return self


class InferenceConfig(Section):
    """How a video becomes tracks."""

    weights: Literal["raw", "ema"] = "raw"
    """raw: the last step's; ema: their moving average (train.ema)"""

    mode: Literal["offline", "near_online"] = "offline"
    """offline: the video is one clip; near_online: stitched clips"""

    clip_length: Count = 36
    """near_online: frames a clip"""

    stride: Count = 18
    """near_online: frames from one clip to the next"""

    top_k: Count = 10
    """instances a clip (pairs of query and class)"""

    mask_threshold: PartOfWhole = 0.5
    """mask probability from which a pixel belongs to the instance"""

    match_threshold: Proportion = 0.3
    """near_online: least mask overlap that joins two clips' tracks"""

    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: mixed precision (autocast)"""

    @model_validator(mode="after")
    def _clips_overlap(self) -> Self:
        if self.stride >= self.clip_length:
            raise ValueError(
                f"inference.stride={self.stride} leaves clips without a shared frame to join them "
                f"by: it must be less than inference.clip_length={self.clip_length}"
            )
        return self


class ModelConfig(Section):
    """What :func:`core.build_model` needs."""

    backbone: BackboneConfig = BackboneConfig()
    messenger: MessengerConfig = MessengerConfig()
    head: HeadConfig = HeadConfig()

    @model_validator(mode="after")
    def _backbone_carries_messengers(self) -> Self:
        if self.messenger.tokens and self.backbone.name not in get_args(PVTName):
            raise ValueError(
                f"messenger.tokens={self.messenger.tokens}: backbone.name={self.backbone.name} "
                f"cannot carry messenger tokens; use one of {', '.join(get_args(PVTName))}, or "
                "set messenger.tokens=0"
            )
        if self.messenger.tokens and self.backbone.temporal != "messengers":
            raise ValueError(
                f"backbone.temporal={self.backbone.temporal} stands in the place of messenger "
                f"tokens, of which there are messenger.tokens={self.messenger.tokens}: set "
                "messenger.tokens=0, or backbone.temporal=messengers"
            )
        return self


class Config(ModelConfig):
    """One cell of a study: model, data, training, inference and seed."""

    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()
    inference: InferenceConfig = InferenceConfig()
    seed: Whole = 0
    """seed of initial weights, clips and augmentation"""

    @model_validator(mode="after")
    def _average_is_kept(self) -> Self:
        if self.inference.weights == "ema" and not self.train.ema:
            raise ValueError(
                "inference.weights=ema, but with train.ema=0 no average of the weights is kept: "
                "set train.ema, such as 0.999, or inference.weights=raw"
            )
        return self

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, defaults included; ``Config(**d)`` gives the value back."""
        return self.model_dump(mode="json")
