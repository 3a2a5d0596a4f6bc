"""The slim network begins as the wide one's most important channels."""

import numpy as np

from affectd_convert.architectures import vgg16
from affectd_convert.architectures.pruning import slim_down

WIDE = vgg16.Widths((4, 6, 8, 8, 8), 16)
NARROW = vgg16.Widths((4, 4, 6, 5, 3), 8)


def faces(count: int = 6) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((count, 48, 48, 1)).astype(np.float32)


def test_channels_that_nobody_reads_go_first_and_nothing_changes() -> None:
    wide = vgg16.build(7, size=48, widths=WIDE)
    unread = {"block2_conv1": 2, "block2_conv2": 2, "block5_conv3": 5, "fc1": 8, "fc2": 8}
    reader = {"block2_conv1": "block2_conv2", "block2_conv2": "block3_conv1", "block5_conv3": "fc1"}
    reader |= {"fc1": "fc2", "fc2": "logits"}
    for name, count in unread.items():
        kernel, *bias = wide.get_layer(reader[name]).get_weights()
        kernel[..., -count:, :] = 0
        wide.get_layer(reader[name]).set_weights([kernel, *bias])
    narrow = vgg16.build(7, size=48, widths=vgg16.Widths((4, 4, 8, 8, 3), 8))
    # Of block 5 every convolution loses channels: only the last one's are unread.
    for name in ("block5_conv2", "block5_conv3"):
        kernel, *bias = wide.get_layer(name).get_weights()
        kernel[..., -5:, :] = 0
        wide.get_layer(name).set_weights([kernel, *bias])
    slim = slim_down(wide, narrow)
    assert slim.count_params() < wide.count_params()
    assert np.allclose(slim.predict(faces(), verbose=0), wide.predict(faces(), verbose=0), atol=1e-5)


def test_a_network_as_wide_as_before_is_the_same() -> None:
    wide = vgg16.build(7, size=48, widths=WIDE)
    same = slim_down(wide, vgg16.build(7, size=48, widths=WIDE))
    weights = zip(same.get_weights(), wide.get_weights(), strict=True)
    assert all(np.array_equal(one, other) for one, other in weights)
    assert np.allclose(same.predict(faces(), verbose=0), wide.predict(faces(), verbose=0), atol=1e-5)


def test_every_layer_of_the_slim_network_has_its_own_width() -> None:
    slim = slim_down(vgg16.build(7, size=48, widths=WIDE), vgg16.build(7, size=48, widths=NARROW))
    widths = [slim.get_layer(f"block{block}_conv1").filters for block in range(1, 6)]
    assert widths == list(NARROW.blocks)
    assert np.isfinite(slim.predict(faces(), verbose=0)).all()


def test_the_slim_vgg16_has_fewer_than_eight_million_parameters() -> None:
    assert vgg16.build(7, size=48, widths=vgg16.SLIM).count_params() < 8_000_000
