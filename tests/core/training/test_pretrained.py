"""Converted weights must compute the same as the public implementation does with its own."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from core.config.schema import BackboneConfig, MessengerConfig, ModelConfig
from core.errors import UserError
from core.model.backbones import build_backbone
from core.training.checkpoint import load_state
from core.training.pretrained import convert_backbone, load_pretrained, resize_bias_table


def backbone(name, tokens=0, **options):
    torch.manual_seed(0)
    config = ModelConfig(
        backbone=BackboneConfig(name=name, drop_path=0.0, **options),
        messenger=MessengerConfig(tokens=tokens),
    )
    return build_backbone(config).eval()


def randomized(module, seed=1):
    """No weight at its initial value, so that a mix-up of any two shows."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            values = torch.randn(tensor.shape, generator=generator) * 0.05
            tensor.copy_(values.abs() + 0.5 if "var" in name else values)
    return module.eval()


def saved(tmp_path, state, wrap="model"):
    path = tmp_path / "public.pth"
    torch.save({wrap: state} if wrap else state, path)
    return path


# --- ResNet --------------------------------------------------------------------------------------


def test_resnet_computes_as_torchvision(tmp_path):
    theirs = randomized(torchvision.models.resnet50())
    ours = backbone("resnet50")
    report = load_pretrained(ours, saved(tmp_path, theirs.state_dict(), wrap=None))
    assert report.complete and not report.unexpected
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        features = ours(x[None])
        y = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(x))))
        for i, layer in enumerate((theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4)):
            y = layer(y)
            torch.testing.assert_close(features[i], y)


# --- Swin ----------------------------------------------------------------------------------------


def authors_swin_names(state):
    """torchvision's names as the Swin authors' files have them."""
    renamed = {}
    for name, value in state.items():
        part, *rest = name.split(".")
        if part == "features":
            index = int(rest[0])
            tail = ".".join(rest[1:]).replace("mlp.0", "mlp.fc1").replace("mlp.3", "mlp.fc2")
            if index == 0:
                name = {"0": "patch_embed.proj.", "2": "patch_embed.norm."}[rest[1]] + rest[2]
            elif index % 2:
                name = f"layers.{index // 2}.blocks.{tail}"
            else:
                name = f"layers.{index // 2 - 1}.downsample.{tail}"
        if name.endswith("relative_position_index"):
            value = value.view(49, 49)
        renamed[name] = value
    renamed["layers.0.blocks.1.attn_mask"] = torch.zeros(64, 49, 49)
    return renamed


@pytest.mark.parametrize("names", [authors_swin_names, dict])
def test_swin_computes_as_torchvision(tmp_path, names):
    theirs = randomized(torchvision.models.swin_t())
    ours = backbone("swin_t")
    report = load_pretrained(ours, saved(tmp_path, names(theirs.state_dict())))
    assert set(report.missing) == {f"norm{i}.{n}" for i in range(4) for n in ("weight", "bias")}
    assert not report.unexpected and not report.other_shape
    # padded at every stage, and nowhere within one window, where torchvision does not shift
    x = torch.randn(1, 3, 256, 288)
    with torch.no_grad():
        features = ours(x[None])
        y = theirs.features[0](x)
        for i in range(4):
            y = theirs.features[2 * i + 1](y)
            expected = F.layer_norm(y, y.shape[-1:]).permute(0, 3, 1, 2)
            torch.testing.assert_close(features[i], expected, rtol=1e-4, atol=1e-4)
            if i < 3:
                y = theirs.features[2 * i + 2](y)


def test_bias_table_of_another_window_is_interpolated():
    y, x = torch.meshgrid(torch.arange(23.0), torch.arange(23.0), indexing="ij")
    table = torch.stack((y.flatten(), x.flatten()), dim=1)
    resized = resize_bias_table(table, 13 * 13)
    assert resized.shape == (169, 2)
    grid = resized.view(13, 13, 2)
    expected = (torch.arange(13) + 0.5) * 23 / 13 - 0.5  # linear in, linear out, away from borders
    # a cubic kernel gives a straight line back up to a twentieth of a step
    torch.testing.assert_close(grid[3:-3, 6, 0], expected[3:-3], rtol=0, atol=0.05)
    torch.testing.assert_close(grid[6, 3:-3, 1], expected[3:-3], rtol=0, atol=0.05)
    assert resize_bias_table(table, 23 * 23) is table


def test_swin_of_window_12_loads(tmp_path):
    theirs = authors_swin_names(torchvision.models.swin_t().state_dict())
    for name, value in theirs.items():
        if name.endswith("bias_table"):
            theirs[name] = torch.randn(23 * 23, value.shape[1])
    report = load_pretrained(backbone("swin_t"), saved(tmp_path, theirs))
    assert not report.other_shape


# --- PVTv2 ---------------------------------------------------------------------------------------


def public_pvt(ours, randomize=True):
    """The PVTv2 authors' names and shapes, with random values."""
    state = {}
    for name, value in ours.state_dict().items():
        value = torch.randn(value.shape) * 0.1 if randomize else value
        stage, part, *rest = name.removeprefix("layers.").split(".")
        n = int(stage) + 1
        tail = ".".join(rest)
        if part == "0":
            state[f"patch_embed{n}.{tail.replace('projection', 'proj')}"] = value
        elif part == "2":
            state[f"norm{n}.{tail}"] = value
        elif "in_proj" in tail:
            block, kind = rest[0], rest[-1].removeprefix("in_proj_")
            c = len(value) // 3
            state[f"block{n}.{block}.attn.q.{kind}"] = value[:c]
            state[f"block{n}.{block}.attn.kv.{kind}"] = value[c:]
        else:
            tail = tail.replace("attn.attn.out_proj", "attn.proj")
            tail = tail.replace("ffn.layers.0", "mlp.fc1").replace("ffn.layers.4", "mlp.fc2")
            if "mlp.fc" in tail and tail.endswith("weight"):
                value = value[:, :, 0, 0]
            tail = tail.replace("ffn.layers.1", "mlp.dwconv.dwconv")
            state[f"block{n}.{tail}"] = value
    state["head.weight"], state["head.bias"] = torch.zeros(1000, 512), torch.zeros(1000)
    return state


class PublicPVT(nn.Module):
    """The authors' forward pass, written from their description, on a flat dict of weights."""

    heads, reductions = (1, 2, 5, 8), (8, 4, 2, 1)

    def __init__(self, state):
        super().__init__()
        self.state = state

    def linear(self, name, x):
        return F.linear(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"])

    def norm(self, name, x, eps=1e-6):
        return F.layer_norm(
            x, x.shape[-1:], self.state[f"{name}.weight"], self.state[f"{name}.bias"], eps
        )

    def conv(self, name, x, **options):
        return F.conv2d(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"], **options)

    def attention(self, name, x, size, heads, reduction):
        keys = x
        if reduction > 1:
            image = x.transpose(1, 2).unflatten(2, size)
            image = self.conv(f"{name}.sr", image, stride=reduction)
            keys = self.norm(f"{name}.norm", image.flatten(2).transpose(1, 2))
        q = self.linear(f"{name}.q", x).unflatten(2, (heads, -1)).transpose(1, 2)
        kv = self.linear(f"{name}.kv", keys).unflatten(2, (2, heads, -1))
        k, v = kv.permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
        return self.linear(f"{name}.proj", (weights @ v).transpose(1, 2).flatten(2))

    def mlp(self, name, x, size):
        x = self.linear(f"{name}.fc1", x)
        image = x.transpose(1, 2).unflatten(2, size)
        image = self.conv(f"{name}.dwconv.dwconv", image, padding=1, groups=x.shape[2])
        return self.linear(f"{name}.fc2", F.gelu(image.flatten(2).transpose(1, 2)))

    def forward(self, image):
        features = []
        for n in range(1, 5):
            first = n == 1
            image = self.conv(
                f"patch_embed{n}.proj",
                image,
                stride=4 if first else 2,
                padding=3 if first else 1,
            )
            size = image.shape[2:]
            x = self.norm(f"patch_embed{n}.norm", image.flatten(2).transpose(1, 2))
            for block in range(2):
                name = f"block{n}.{block}"
                x = x + self.attention(
                    f"{name}.attn",
                    self.norm(f"{name}.norm1", x),
                    size,
                    self.heads[n - 1],
                    self.reductions[n - 1],
                )
                x = x + self.mlp(f"{name}.mlp", self.norm(f"{name}.norm2", x), size)
            image = self.norm(f"norm{n}", x).transpose(1, 2).unflatten(2, size)
            features.append(image)
        return features


def test_pvt_computes_as_the_authors(tmp_path):
    ours = backbone("pvt_v2_b0")
    torch.manual_seed(2)
    state = public_pvt(ours)
    report = load_pretrained(ours, saved(tmp_path, state, wrap=None))
    assert report.complete and not report.unexpected
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        for mine, theirs in zip(ours(x[None]), PublicPVT(state)(x), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_messengers_keep_their_initial_values(tmp_path):
    ours = backbone("pvt_v2_b0", tokens=4)
    path = saved(tmp_path, public_pvt(backbone("pvt_v2_b0")), wrap=None)
    before = ours.msg_tokens.clone()
    assert load_pretrained(ours, path).missing == ("msg_tokens",)
    assert ours.msg_tokens.equal(before)


@pytest.mark.parametrize(
    ("file", "model", "message"),
    [
        # same widths, other depths: every name of b1 is in b2's file
        ("pvt_v2_b2", "pvt_v2_b1", r"public\.pth is of another backbone or variant"),
        # same names, other widths
        ("pvt_v2_b0", "pvt_v2_b1", r"nothing in it fits.*32x3x7x7 in the file, 64x3x7x7 here"),
    ],
)
def test_another_variant_is_an_error(tmp_path, file, model, message):
    path = saved(tmp_path, public_pvt(backbone(file), randomize=False))
    with pytest.raises(UserError, match=f"(?s){message}"):
        load_pretrained(backbone(model), path)


def test_another_backbone_is_an_error(tmp_path):
    path = saved(tmp_path, torchvision.models.resnet18().state_dict())
    with pytest.raises(UserError, match="nothing in it fits"):
        load_pretrained(backbone("pvt_v2_b0"), path)


def test_a_detectors_backbone_is_taken_out():
    ours = backbone("pvt_v2_b0", tokens=4)
    state = {f"backbone.{n}": v for n, v in ours.state_dict().items()}
    state["neck.lateral_convs.0.conv.weight"] = torch.zeros(1)
    converted = convert_backbone(state)
    assert set(converted) == set(ours.state_dict())


def test_every_name_of_the_published_backbones_is_reached():
    """Round trip at the published sizes: shapes only, no weights in memory."""
    with torch.device("meta"):
        config = ModelConfig(messenger=MessengerConfig(tokens=0))
        ours = build_backbone(config)
        state = public_pvt(ours, randomize=False)
    converted = convert_backbone(state)
    expected = {n: v.shape for n, v in ours.state_dict().items()}
    assert {n: v.shape for n, v in converted.items()} == expected


def test_load_state_says_where_from(tmp_path):
    with pytest.raises(UserError, match=r"a\.pth: nothing in it fits"):
        load_state(nn.Linear(1, 1), {"x": torch.ones(1)}, tmp_path / "a.pth")
