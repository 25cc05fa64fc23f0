"""Which data sets belong together: the same data under several ids, or pieces of one collection.

Tasks of one family stay on one side of every split, in every source.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Final

_FAMILIES: Final = (
    (r"mfeat-.*", "mfeat"),
    (r"one-hundred-plants-.*", "one-hundred-plants"),
    (r"KDDCup09_.*", "KDDCup09"),
    (r".*_agnostic|ada", "agnostic"),
    (r"credit-approval|Australian", "credit-approval"),
    (r"splice|dna", "splice"),  # dna is splice with its letters as bits
    (r"(294_)?satellite_image", "satimage"),
    (r"satimage|Satellite", "satimage"),
    # The names that PMLB, WEKA and scikit-learn give to the same data, or to pieces of them.
    (r"mfeat_.*", "mfeat"),
    (r"(\d+_)?fri_c.*", "fri_c"),
    (r"GAMETES_.*", "GAMETES"),
    (r"waveform[-_].*", "waveform-5000"),
    (r"led\d+|LED-.*", "LED-display-domain-7digit"),
    (r"[Hh]ill[-_][Vv]alley.*", "hill-valley"),
    (r"clean\d", "clean"),
    (r"(\d+_)?analcatdata_cyyoung.*", "analcatdata_cyyoung"),
    (r"(561_|230_machine_)?cpu", "cpu"),
    (r"(\d+_)?analcatdata_apnea.*", "analcatdata_apnea"),
    (r"chess|kr[-_]vs[-_]kp", "kr-vs-kp"),
    (r"mushroom|agaricus_lepiota", "mushroom"),
    (r"balance[-_]scale", "balance-scale"),
    (r"tic[-_]tac[-_]toe", "tic-tac-toe"),
    (r"car|car_evaluation", "car"),
    (r"segment|segmentation", "segment"),
    (r"magic|MagicTelescope", "MagicTelescope"),
    (r"glass\d?", "glass"),
    (r"wdbc|sklearn_breast_cancer", "wdbc"),
    (r"(sklearn_)?iris", "iris"),
    (r"wine|sklearn_wine|wine_recognition", "wine"),
    (r"optdigits|sklearn_digits", "optdigits"),
    (r"parity.*", "parity"),
)

# OpenML's names of data sets and tasks for which no qualities were collected.
DATASET_NAMES: Final[Mapping[int, str]] = {
    181: "yeast",
    1056: "mc1",
    1220: "Click_prediction_small",
    1457: "amazon-commerce-reviews",
    4154: "CreditCardSubset",
    4541: "Diabetes130US",
    23517: "numerai28.6",
    40498: "wine-quality-white",
    40670: "dna",
    40685: "shuttle",
    40900: "Satellite",
    40923: "Devnagari-Script",
    40927: "CIFAR_10",
    40975: "car",
    40979: "mfeat-pixel",
    40983: "wilt",
    40994: "climate-model-simulation-crashes",
    40996: "Fashion-MNIST",
    41027: "jungle_chess_2pcs_raw_endgame_complete",
    41142: "christine",
    41150: "MiniBooNE",
    41156: "ada",
    41159: "guillermo",
    41161: "riccardo",
    41162: "kick",
    41163: "dilbert",
    41164: "fabert",
    41165: "robert",
    41168: "jannis",
    41169: "helena",
}
TASK_NAMES: Final[Mapping[int, str]] = {
    7593: "covertype",
    126025: "adult",
    126029: "bank-marketing",
    167104: "Australian",
    167152: "mfeat-factors",
    167161: "credit-g",
    167181: "kc1",
    167184: "blood-transfusion-service-center",
    167185: "cnae-9",
    167200: "higgs",
    167201: "connect-4",
    168329: "helena",
    168330: "jannis",
    168335: "MiniBooNE",
    168868: "APSFailure",
    168908: "christine",
    168910: "fabert",
    189862: "jasmine",
    189865: "sylvine",
    189866: "albert",
    189873: "dionis",
    189906: "segment",
    189908: "Fashion-MNIST",
    189909: "jungle_chess_2pcs_raw_endgame_complete",
}


def family_of(name: str) -> str:
    """The family of an OpenML data set by its name; most are families of one."""
    for pattern, family in _FAMILIES:
        if re.fullmatch(pattern, name):
            return family
    return name


def fold_of(family: str, *, n_folds: int = 5) -> int:
    """The fold that a family is tested in: the same in every source, run and process.

    It depends on nothing but the family's name, so that a source more or less moves no task.
    """
    return zlib.crc32(f"fold:{family}".encode()) % n_folds
