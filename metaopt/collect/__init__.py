"""Histories of our own: estimators on data sets, in a store.

Files: ``sources`` reads data sets, ``data_set`` checks and samples one, ``duplicates`` finds those
that share rows; ``configurations`` says what is run; ``preparation``, ``evaluation`` and
``measures`` run one configuration on the folds, in a ``sandbox`` that keeps limits; ``collector``
is the whole, and ``summary`` counts what a store holds.
"""
