import pytest
import torch
from safetensors.torch import save_file

from firsthand.errors import CheckpointError
from firsthand_training.models.baselines.resnet import FrozenBatchNorm, ResNet18, load_imagenet_weights, output_grid


def test_shapes_and_the_size_of_the_published_network():
    network = ResNet18()
    convolutions = sum(p.numel() for p in network.parameters())
    scales = sum(2 * each.weight.numel() for each in network.modules() if isinstance(each, FrozenBatchNorm))
    assert convolutions + scales == 11_689_512 - 513_000  # torchvision's count without its classifier of 1000
    assert network(torch.zeros(1, 3, 56, 98)).shape == (1, 512, *output_grid(56, 98)) == (1, 512, 2, 4)


def test_frozen_batch_normalisation_by_hand():
    norm = FrozenBatchNorm(2)
    values = {"weight": [2.0, 1.0], "bias": [0.5, 0.0], "running_mean": [1.0, 0.0], "running_var": [4.0, 1.0]}
    norm.load_state_dict({name: torch.tensor(value) for name, value in values.items()})
    images = torch.tensor([3.0, 7.0])[None, :, None, None]
    torch.testing.assert_close(norm(images).flatten(), torch.tensor([2.5, 7.0]), atol=1e-4, rtol=0)
    assert not list(norm.parameters())


def test_weights_of_torchvision_load_and_the_classifier_is_left_out(tmp_path):
    torch.manual_seed(0)
    source, network = ResNet18(), ResNet18()
    names = source.state_dict()
    assert {"conv1.weight", "layer1.0.bn2.running_var", "layer4.0.downsample.1.weight"} < names.keys()
    extra = {"fc.weight": torch.zeros(1000, 512), "bn1.num_batches_tracked": torch.tensor(1)}
    save_file({name: value.contiguous() for name, value in {**names, **extra}.items()}, tmp_path / "r.safetensors")
    load_imagenet_weights(network, tmp_path / "r.safetensors")
    torch.testing.assert_close(network.state_dict(), source.state_dict())


def test_other_weights_are_refused(tmp_path):
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"other.safetensors does not hold the weights of a ResNet-18.*bn1"):
        load_imagenet_weights(ResNet18(), tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="does not hold"):
        load_imagenet_weights(ResNet18(), tmp_path / "missing.safetensors")
    (tmp_path / "pickled.pth").write_bytes(b"PK\x03\x04 a zip of pickles")
    with pytest.raises(CheckpointError, match="does not hold"):
        load_imagenet_weights(ResNet18(), tmp_path / "pickled.pth")
