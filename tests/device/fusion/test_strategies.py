"""What each strategy makes of two opinions, over random distributions."""

import numpy as np
import pytest

from affectd.events import LABELS
from affectd.fusion.strategies import (
    ENOUGH_QUALITY,
    STRATEGIES,
    UNIFORM,
    Fused,
    Opinion,
    adaptive,
    agreement,
    hybrid,
    tempered,
    weighted_average,
)

N = len(LABELS)
EVEN = np.ones(N)


def opinion(probabilities, weight=1.0, skill=EVEN, share=0.5, at=0.0):
    return Opinion(np.asarray(probabilities, dtype=float), weight, np.asarray(skill), share, at)


def missing(at=0.0):
    return opinion(UNIFORM, 0.0, at=at)


def leaning(label, p=0.8):
    distribution = np.full(N, (1 - p) / (N - 1))
    distribution[LABELS.index(label)] = p
    return distribution


def random_opinions(seed, count=200):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        spread = rng.uniform(0.05, 5)
        yield opinion(
            rng.dirichlet(np.full(N, spread)), rng.uniform(0.01, 1), rng.uniform(0.05, 1, N), rng.uniform(0.1, 1)
        )


def pairs(seed):
    return zip(random_opinions(seed), random_opinions(seed + 1), strict=True)


THREE = np.isin(LABELS, ["happy", "sad", "neutral"])


def of_three(seed, count=200):
    """Opinions of a model that knows three labels."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        probabilities = np.zeros(N)
        probabilities[THREE] = rng.dirichlet(np.full(3, rng.uniform(0.05, 5)))
        yield opinion(probabilities, rng.uniform(0.01, 1), THREE * rng.uniform(0.05, 1, N), rng.uniform(0.1, 1))


def said(fused: Fused | None):
    assert fused is not None
    return fused.probabilities


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_gives_distributions(strategy):
    for face, voice in pairs(1):
        probabilities = said(STRATEGIES[strategy](face, voice))
        assert probabilities.shape == (N,)
        assert probabilities.min() >= 0
        assert probabilities.sum() == pytest.approx(1)


@pytest.mark.parametrize("strategy", ["weighted_average", "hybrid", "adaptive"])
def test_treats_face_and_voice_alike(strategy):
    for face, voice in pairs(3):
        one, other = STRATEGIES[strategy](face, voice), STRATEGIES[strategy](voice, face)
        np.testing.assert_allclose(said(one), said(other), atol=1e-12)


@pytest.mark.parametrize("strategy", ["weighted_average", "hybrid", "adaptive"])
def test_missing_modality_leaves_the_other_unchanged(strategy):
    for one in random_opinions(5):
        # The product floors probabilities at 1e-3: no more than 7e-3 can move.
        np.testing.assert_allclose(said(STRATEGIES[strategy](one, missing())), one.probabilities, atol=7e-3)
        np.testing.assert_allclose(said(STRATEGIES[strategy](missing(), one)), one.probabilities, atol=7e-3)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nobody_speaks_then_nothing_is_said(strategy):
    assert STRATEGIES[strategy](missing(), missing()) is None


def test_single_strategies_ignore_the_other():
    for face, voice in pairs(7):
        assert said(STRATEGIES["face"](face, voice)) is face.probabilities
        assert said(STRATEGIES["voice"](face, voice)) is voice.probabilities
        assert STRATEGIES["face"](missing(), voice) is None
        assert STRATEGIES["voice"](face, missing()) is None


def test_newest_opinion_listened_to_dates_the_result():
    early, late = opinion(UNIFORM, at=1.0), opinion(UNIFORM, at=2.0)
    assert adaptive(early, late).captured_at == 2.0
    assert STRATEGIES["face"](early, late).captured_at == 1.0
    assert adaptive(early, missing(at=9.0)).captured_at == 1.0


def test_weighted_average_uses_the_fixed_shares():
    face, voice = opinion(leaning("happy"), 0.01, share=0.6), opinion(leaning("sad"), 1.0, share=0.4)
    np.testing.assert_allclose(
        said(weighted_average(face, voice)), 0.6 * face.probabilities + 0.4 * voice.probabilities, atol=1e-12
    )
    assert weighted_average(opinion(UNIFORM, share=0.0), missing()) is None


def test_hybrid_says_what_both_say_and_withholds_otherwise():
    happy, sad = opinion(leaning("happy")), opinion(leaning("sad"))
    agreed = hybrid(happy, opinion(leaning("happy", 0.4)))
    assert not agreed.withheld
    assert LABELS[int(np.argmax(agreed.probabilities))] == "happy"
    assert hybrid(happy, sad).withheld
    assert not hybrid(happy, missing()).withheld


def test_adaptive_follows_the_weightier():
    happy, sad = leaning("happy"), leaning("sad")
    assert said(adaptive(opinion(happy, 0.9), opinion(sad, 0.3))).argmax() == LABELS.index("happy")
    assert said(adaptive(opinion(happy, 0.3), opinion(sad, 0.9))).argmax() == LABELS.index("sad")


def test_adaptive_skill_decides_between_equals():
    """The same two opinions, told apart only by how well each modality tells the classes in question."""
    face, voice = leaning("happy", 0.7), leaning("angry", 0.7)
    good_at_anger = np.where(np.arange(N) == LABELS.index("angry"), 0.9, 0.3)
    good_at_joy = np.where(np.arange(N) == LABELS.index("happy"), 0.9, 0.3)
    even = np.full(N, 0.3)
    hearing = said(adaptive(opinion(face, skill=even), opinion(voice, skill=good_at_anger)))
    seeing = said(adaptive(opinion(face, skill=good_at_joy), opinion(voice, skill=even)))
    assert LABELS[hearing.argmax()] == "angry"
    assert LABELS[seeing.argmax()] == "happy"


def test_adaptive_is_unmoved_by_a_modality_that_is_unsure():
    for face in random_opinions(9):
        with_voice = said(adaptive(face, opinion(UNIFORM, face.weight, face.skill)))
        np.testing.assert_allclose(with_voice, said(adaptive(face, missing())), atol=1e-9)


def test_adaptive_zero_is_no_veto():
    certain = np.eye(N)[LABELS.index("neutral")]
    fused = said(adaptive(opinion(certain, 0.05), opinion(leaning("fear", 0.95), 1.0)))
    assert LABELS[fused.argmax()] == "fear"


def test_adaptive_is_calibrated_for_independent_witnesses():
    """Two simulated models, calibrated and independent given the truth: the pool's confidence is its hit rate."""
    rng = np.random.default_rng(11)
    truth = rng.integers(0, N, 4000)

    def witness(strength):
        scores = rng.normal(size=(truth.size, N))
        scores[np.arange(truth.size), truth] += strength
        posterior = np.exp(strength * scores)  # Bayes for unit Gaussians shifted by `strength`
        return posterior / posterior.sum(axis=1, keepdims=True)

    faces, voices = witness(1.7), witness(1.7)
    fused = np.stack([said(adaptive(opinion(f), opinion(v))) for f, v in zip(faces, voices, strict=True)])
    hits, alone = fused.argmax(axis=1) == truth, faces.argmax(axis=1) == truth
    assert hits.mean() > alone.mean() + 0.08
    assert fused.max(axis=1).mean() == pytest.approx(hits.mean(), abs=0.03)


def test_agreement_names_what_both_say():
    happy, sad = opinion(leaning("happy")), opinion(leaning("sad"))
    assert agreement(happy, opinion(leaning("happy", 0.3))) == "agree"
    assert agreement(happy, sad) == "disagree"
    assert agreement(happy, missing()) == agreement(missing(), sad) == "single"
    assert agreement(missing(), missing()) == "none"


@pytest.mark.parametrize("strategy", ["weighted_average", "hybrid", "adaptive"])
def test_labels_that_no_model_knows_have_nothing_and_are_not_known(strategy):
    for one, other in zip(of_three(15), of_three(16), strict=True):
        for fused in (STRATEGIES[strategy](one, other), STRATEGIES[strategy](missing(), one)):
            assert said(fused).sum() == pytest.approx(1)
            assert (said(fused)[~THREE] == 0).all()
            assert (fused.known == THREE).all()
        np.testing.assert_allclose(said(STRATEGIES[strategy](one, missing())), one.probabilities, atol=7e-3)


@pytest.mark.parametrize("strategy", ["weighted_average", "adaptive"])
def test_a_model_moves_nothing_among_labels_that_it_does_not_know(strategy):
    for few, all_seven in zip(of_three(17), random_opinions(18), strict=True):
        fused = STRATEGIES[strategy](few, all_seven)
        assert fused.known.all()
        told, before = said(fused)[~THREE], np.maximum(all_seven.probabilities[~THREE], 1e-3)
        if before.min() > 2e-3:  # above the floor of the product
            np.testing.assert_allclose(told / told.sum(), before / before.sum(), rtol=1e-6)


def test_adaptive_is_unmoved_by_three_labels_that_are_equally_likely():
    for voice in random_opinions(19):
        even = opinion(THREE / 3, voice.weight, THREE * voice.skill)
        np.testing.assert_allclose(said(adaptive(even, voice)), said(adaptive(missing(), voice)), atol=1e-9)


def test_weighted_average_takes_a_label_from_those_that_know_it():
    face = opinion(leaning("happy") * THREE / (leaning("happy") * THREE).sum(), skill=THREE * 1.0, share=0.6)
    voice = opinion(leaning("fear", 0.6), share=0.4)
    expected = np.where(THREE, 0.6 * face.probabilities + 0.4 * voice.probabilities, voice.probabilities)
    np.testing.assert_allclose(said(weighted_average(face, voice)), expected / expected.sum(), atol=1e-12)


def test_hybrid_believes_whoever_names_what_the_other_does_not_know():
    neutral, fear = opinion(np.eye(N)[6], skill=THREE * 1.0), opinion(leaning("fear", 0.4))
    for fused in (hybrid(neutral, fear), hybrid(fear, neutral)):
        assert not fused.withheld
        assert said(fused) == pytest.approx(fear.probabilities)
    assert agreement(neutral, fear) == agreement(fear, neutral) == "single"
    assert agreement(neutral, opinion(leaning("sad"))) == "disagree"
    no_sad = opinion(leaning("fear"), skill=np.where(np.arange(N) == 6, 0.0, 1.0))
    assert agreement(neutral, no_sad) == "disagree"


def test_three_labels_help_where_they_apply_and_do_not_harm_where_they_do_not():
    """Simulated: a voice that knows all, and a face, trained on three, that is asked of all seven."""
    rng = np.random.default_rng(21)
    truth = rng.integers(0, N, 2000)

    def witness(strength, known):
        scores = rng.normal(size=(truth.size, N))
        scores[np.arange(truth.size), truth] += strength
        posterior = np.exp(strength * scores) * known
        return posterior / posterior.sum(axis=1, keepdims=True)

    faces, voices = witness(1.5, THREE), witness(1.5, EVEN)
    fused = [said(adaptive(opinion(f, skill=THREE * 1.0), opinion(v))) for f, v in zip(faces, voices, strict=True)]
    gained = (np.argmax(fused, axis=1) == truth).astype(int) - (voices.argmax(axis=1) == truth)
    inside = np.isin(truth, np.flatnonzero(THREE))
    assert gained[inside].mean() > 0.08
    assert gained[~inside].mean() > -0.05


def test_tempering_flattens_step_by_step_and_keeps_the_order():
    for one in random_opinions(13, count=20):
        steps = [tempered(one.probabilities, ENOUGH_QUALITY * share) for share in (0.0, 0.2, 0.5, 0.8, 1.0, 4.0)]
        assert steps[0] == pytest.approx(UNIFORM)
        assert steps[-1] is one.probabilities
        leads = [step.max() for step in steps]
        assert leads == sorted(leads)
        assert all(step.argmax() == one.probabilities.argmax() for step in steps[1:])
