"""The experiment and what applies it. Read in this order; every file imports only what stands above it here.

What everything is made with: refusal (what a user is told when something cannot be), files (the one door to disk),
recorded_tables (a table and the record that seals it), locks (one writer at a time), progress (of long work).

The experiment, as equations:

- dsprites       the images, as geometry
- model          the networks
- pid            the controller: from the distance between C and the KL to beta
- schedules      the rules by which C grows
- objectives     what is added to the reconstruction loss: the seam where another method goes
- arms           the table of arms: one row each
- toy_plant      controller and rule on a plant with a known answer
- mixtures, mig, information, disentanglement   the measures, exact where they can be

What applies it:

- data           the images as one file; official files; what is counted on them
- runs           settings, profiles, a run's directory, where a result comes from
- training       plain.py is the training as one would first write it; engine.py is the same, fast
- evaluation     what is measured on a trained network
- report         tables, effects, figures, page, README, publishing
- explorer       sliders, in a notebook and in the page
- benchmarks     what everything costs
- __main__       python -m lib PROFILE: trains and measures without notebooks
"""
