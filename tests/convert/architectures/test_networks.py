"""The papers' networks have the size that was published, where one was, and take what they are said to."""

from affectd_convert.architectures import efficientnet_lite0, mobilenet_v2


def trainable(model) -> int:
    return sum(weights.shape.num_elements() for weights in (one.value for one in model.trainable_weights))


def test_mobilenet_v2_is_that_of_its_authors_but_for_the_colours_and_the_last_layer():
    # 3,504,872 weights learnt with 1,000 classes over three channels.
    assert trainable(mobilenet_v2.build(7)) == 3_504_872 - 1281 * 1000 + 1281 * 7 - 2 * 9 * 32


def test_efficientnet_lite0_is_that_of_its_authors_but_for_the_last_layer():
    # 4,652,008 weights learnt with 1,000 classes.
    assert trainable(efficientnet_lite0.build(7)) == 4_652_008 - 1281 * 1000 + 1281 * 7
