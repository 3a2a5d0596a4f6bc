"""The papers' networks have the size that was published, where one was, and take what they are said to."""

from affectd_convert.architectures import cnn1d, das_cnn, efficientnet_lite0, mobilenet_v2, resnet50


def trainable(model) -> int:
    return sum(weights.shape.num_elements() for weights in (one.value for one in model.trainable_weights))


def test_mobilenet_v2_is_that_of_its_authors_but_for_the_colours_and_the_last_layer():
    # 3,504,872 weights learnt with 1,000 classes over three channels.
    assert trainable(mobilenet_v2.build(7)) == 3_504_872 - 1281 * 1000 + 1281 * 7 - 2 * 9 * 32


def test_efficientnet_lite0_is_that_of_its_authors_but_for_the_last_layer():
    # 4,652,008 weights learnt with 1,000 classes.
    assert trainable(efficientnet_lite0.build(7)) == 4_652_008 - 1281 * 1000 + 1281 * 7


def test_resnet50_is_that_of_its_authors_but_for_the_dense_layers():
    # 25,557,032 weights learnt with 1,000 classes.
    assert trainable(resnet50.build(7)) == 25_557_032 - 2049 * 1000 + 2049 * 256 + 257 * 7


def test_the_1d_cnn_has_the_papers_7_19_million_parameters_over_the_papers_features():
    # 22 features of 108 frames in one row.
    assert cnn1d.build(7, frames=108, columns=22, step=1).count_params() == 7_193_223


def test_the_cnn_of_das_and_khokher_has_its_layers():
    shapes = [
        tuple(layer.kernel.shape) for layer in das_cnn.build(7).layers if layer.weights and hasattr(layer, "kernel")
    ]
    assert shapes[:4] == [(3, 3, 1, 64), (5, 5, 64, 128), (3, 3, 128, 512), (3, 3, 512, 512)]
    assert [shape[1] for shape in shapes[4:]] == [256, 512, 7]
