"""Methods compared on real fits: cross-validation to tune on, and a test split that none sees.

Files: ``options`` is what is asked for; ``tasks`` splits a data set and scores configurations;
``methods`` are what is compared; ``training`` makes the artifact of each fold, without the
families tested in it; ``studies`` runs one method on one task, ``results`` keeps what came of it;
``bench`` is the whole; ``curves``, ``figures`` and ``comparisons`` judge, ``text`` and ``plots``
show.
"""
