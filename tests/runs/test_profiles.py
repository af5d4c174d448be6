"""profiles.toml: a profile says only what differs from the one it is like; mistakes are refused with their place."""

import pytest

from lib.runs import profiles
from lib.runs.profiles import PROFILES, load_profile

BASE = PROFILES.read_text(encoding="utf-8")


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A function: profiles.toml with these sections after its own."""

    def write(text: str, base: str = BASE) -> None:
        (tmp_path / "profiles.toml").write_text(base + text)

    monkeypatch.setattr(profiles, "PROFILES", tmp_path / "profiles.toml")
    return write


def test_what_is_not_said_is_taken_from_the_other_profile_key_by_key(file):
    file('[mine]\nlike = "smoke"\nseeds = [7]\n[mine.training]\nsteps = 40\n')
    mine, smoke, paper = load_profile("mine"), load_profile("smoke"), load_profile("paper")
    assert (mine.arms, mine.seeds) == (smoke.arms, (7,))
    assert mine.training == smoke.training | {"steps": 40}
    assert mine.evaluation == smoke.evaluation
    assert list(mine.training) == list(paper.training)  # the order in which departures name a run's directory
    assert mine.run(mine.training_config("linear", 7, kp=0.5)).name == "linear-seed7-kp=0.5"
    assert mine.training["ki"] == 0.1 and mine.training["kd"] == 0.0  # laptop's, and paper's


def test_the_profiles_have_the_values_of_their_published_runs():
    for profile in profiles.published_profiles():
        for run in sorted(profile.published.glob("*-seed*")):
            arm, seed = run.name.split("-seed")
            assert profiles.Run(run).config() == profile.training_config(arm, int(seed))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[x]\nlike = "nobody"', r"\[x\] is like 'nobody'; name one of paper, laptop"),
        ("[x]\nlike = 3", r"\[x\] is like 3; name one of paper"),
        ('[x]\nlike = ["smoke"]', r"\[x\] is like \['smoke'\]; name one of"),
        ('[x]\nlike = "x"', "x is like x; one of them must say everything"),
        ('[x]\nlike = "y"\n[y]\nlike = "z"\n[z]\nlike = "y"', "x is like y is like z is like y; one of them must"),
        ('[x]\nlike = "smoke"\nsteps = 3', r"\[x\] has 'steps'; it may hold arms, seeds, also, training, evaluation"),
        ('[x]\nlike = "smoke"\narms = "linear"', r"\[x\] arms is 'linear'; give a list"),
        ('[x]\nlike = "smoke"\nseeds = 1', r"\[x\] seeds is 1; give a list"),
        ('[x]\nlike = "smoke"\ntraining = 1', r"\[x\] training is 1; give a table"),
        ('[x]\nlike = "smoke"\nevaluation = [1]', r"\[x\] evaluation is \[1\]; give a table"),
        ('[x]\nlike = "smoke"\nseeds = []', r"\[x\] seeds is \[\]; list each once, and at least one"),
        ('[x]\nlike = "smoke"\nalso = "vae"', r"\[x\] also is 'vae'; give a list"),
        ('[x]\nlike = "smoke"\nalso = ["vae", "vae"]', r"\[x\] also is \['vae', 'vae'\]; list each arm once"),
        ('[x]\nlike = "smoke"\nalso = ["linear"]', r"\[x\] also is \['linear'\]; list each arm once, in arms or"),
        ('[x]\nlike = "smoke"\nalso = [["vae"]]', r"\[x\]: arm is \['vae'\]"),
        ('[x]\nlike = "smoke"\nalso = ["nothing"]', r"\[x\]: arm is 'nothing'; choose one of"),
        ('[x]\nlike = "smoke"\nseeds = [1, 1]', r"\[x\] seeds is \[1, 1\]; list each once"),
        ('[x]\nlike = "smoke"\nseeds = [1, "2"]', r"\[x\]: seed is '2'; give an integer"),
        ('[x]\nlike = "smoke"\nseeds = [[1], [1]]', r"\[x\] seeds is \[\[1\], \[1\]\]; list each once"),
        ('[x]\nlike = "smoke"\nseeds = [1.5]', r"\[x\]: seed is 1.5; give an integer"),
        ('[x]\nlike = "smoke"\nseeds = [-1]', r"\[x\]: seed is -1; give 0 or more"),
        ('[x]\nlike = "smoke"\narms = ["linear"]', r"\[x\] arms is \['linear'\]; linear and adaptive must be listed"),
        ('[x]\nlike = "smoke"\narms = [["linear"]]', r"\[x\] arms is \[\['linear'\]\]; linear and adaptive must be"),
        ('[x]\nlike = "smoke"\narms = ["linear", "adaptive", "x"]', r"\[x\]: arm is 'x'; choose one of linear"),
        ('[x]\nlike = "smoke"\n[x.training]\nstep = 3', r"\[x\]: There is no setting 'step'"),
        ('[x]\nlike = "smoke"\n[x.training]\nsteps = "3"', r"\[x\]: steps is '3'; give an integer"),
        ('[x]\nlike = "smoke"\n[x.training]\nsteps = {a = 3}', r"\[x\]: steps is \{'a': 3\}; give an integer"),
        ('[x]\nlike = "smoke"\n[x.evaluation]\ndci_samples = 1', r"\[x\]: dci_samples is 1; give 100 or more"),
        ("[x]\nseeds = [1]", r"\[x\] lacks arms; give it"),
        ('[x]\narms = ["linear", "adaptive"]\nseeds = [1]', r"\[x\] lacks training; give it"),
        ('[x]\nlike = "smoke"\nlike = "paper"', r"cannot be read \(Cannot overwrite a value.*\); mend it"),
        ("[x", r"cannot be read \(.*\); mend it"),
    ],
)
def test_mistakes_in_the_file_are_refused_with_their_place(text, sentence, file):
    file(f"\n{text}\n")
    with pytest.raises(ValueError, match=rf"profiles\.toml.*{sentence}"):
        load_profile("x")


def test_a_section_that_is_none_and_a_file_that_is_missing(file):
    file("", "x = 3\n" + BASE)
    with pytest.raises(ValueError, match=r"profiles\.toml: x is no section; write \[x\]\."):
        load_profile("x")
    profiles.PROFILES.unlink()
    with pytest.raises(ValueError, match=r"profiles\.toml is missing; mend it"):
        load_profile("smoke")


@pytest.mark.parametrize("name", [None, 3, ["smoke"], "", "Smoke", "smoke.training"])
def test_a_profile_of_another_name_is_refused(name):
    with pytest.raises(ValueError, match=r"profile is .*; choose one of paper, laptop, seeds, cooled, smoke, hour"):
        load_profile(name)
