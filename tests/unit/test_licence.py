"""Licences as people write them: what each allows, and that none is taken for a freer one."""

import json

import pytest

from hedgerow import licence

#: The text of the datasets that came to OpenNeuro from OpenfMRI.
OPENFMRI = (
    "This dataset is made available under the Public Domain Dedication and License \nv1.0, whose full text can be "
    "found at \nhttp://www.opendatacommons.org/licenses/pddl/1.0/. \nWe hope that all users will follow the ODC "
    "Attribution/Share-Alike \nCommunity Norms (http://www.opendatacommons.org/norms/odc-by-sa/); \nin particular, "
    "while not legally required, we hope that all users of the data will acknowledge the project"
)

FREE = [
    ("CC0", "CC0-1.0"),
    ("CC0 1.0", "CC0-1.0"),
    ("cc-0", "CC0-1.0"),
    ("CCO", "CC0-1.0"),  # with the letter
    ("CC0-1.0", "CC0-1.0"),
    ("Creative Commons Zero v1.0 Universal", "CC0-1.0"),
    ("CC0 1.0 Universal (CC0 1.0) Public Domain Dedication", "CC0-1.0"),
    ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
    ("CC0 (Public domain) <https://creativecommons.org/licenses/cc0>", "CC0-1.0"),
    ("No data use agreement is needed; CC0", "CC0-1.0"),
    ("CC0: no restrictions on redistribution", "CC0-1.0"),
    ("PDDL", "PDDL-1.0"),
    ("ODC-PDDL", "PDDL-1.0"),
    ("Open Data Commons Public Domain Dedication and License (PDDL) v1.0", "PDDL-1.0"),
    (OPENFMRI, "PDDL-1.0"),
    ("PD", None),
    ("Public Domain", None),
    ("CDLA-Permissive-2.0", "CDLA-Permissive-2.0"),
]

CREDITED = [
    ("CC BY 4.0", "CC-BY-4.0"),
    ("CC-BY-4.0", "CC-BY-4.0"),
    ("CC-BY 4", "CC-BY-4.0"),
    ("CCBY4.0", "CC-BY-4.0"),
    ("CC BY 3.0", "CC-BY-3.0"),
    ("Creative Commons Attribution 4.0 International Public License", "CC-BY-4.0"),
    ("Licensed under CC-BY (Creative Commons Attribution 4.0)", "CC-BY-4.0"),
    ("http://creativecommons.org/licenses/by/4.0/", "CC-BY-4.0"),
    ("CC-BY", None),
    ("CC BY 3.0 DE", None),
    ("ODC-By", "ODC-By-1.0"),
    ("ODC-By-1.0", "ODC-By-1.0"),
    ("ODC-BY (Open)", "ODC-By-1.0"),
    ("Open Data Commons Attribution License: http://opendatacommons.org/licenses/by/1.0/", "ODC-By-1.0"),
    ("MIT", "MIT"),
    ("Apache License, Version 2.0", "Apache-2.0"),
]

SHARED_ALIKE = [
    ("CC-BY-SA 4.0", "CC-BY-SA-4.0"),
    ("CC BY-SA 4.0", "CC-BY-SA-4.0"),
    ("CC BY SA 4.0", "CC-BY-SA-4.0"),
    ("Creative Commons Attribution-ShareAlike 4.0 International (CC BY-SA 4.0)", "CC-BY-SA-4.0"),
    ("Creative Commons Attribution Share Alike 3.0 Unported", "CC-BY-SA-3.0"),
    ("CC BY-SA", None),
    ("ODbL", "ODbL-1.0"),
    ("Open Database License (ODbL) v1.0", "ODbL-1.0"),
    ("CDLA-Sharing-1.0", "CDLA-Sharing-1.0"),
]

NOT_COMMERCIAL = [
    ("CC BY-NC 4.0", "CC-BY-NC-4.0", False),
    ("CC-BY-NC-SA 4.0", "CC-BY-NC-SA-4.0", True),
    ("ccby-nc-sa-4.0", "CC-BY-NC-SA-4.0", True),
    ("Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International License.", "CC-BY-NC-SA-4.0", True),
    ("CC BY-NC-SA (Attribution-NonCommercial-ShareAlike)", None, True),
    ("CC BY-NC-SA 4.0 <https://creativecommons.org/licenses/by-nc-sa/4.0/>", "CC-BY-NC-SA-4.0", True),
    ("CC BY-NC-SA 3.0 IGO", None, True),
]

FORBIDDEN = [
    "CC BY-ND",
    "CC BY-ND 4.0",
    "CC-BY-NC-ND-4.0",
    "Creative Commons Attribution-NonCommercial-NoDerivatives 4.0",
    "Creative Commons Attribution-No Derivative Works 3.0",
    "https://creativecommons.org/licenses/by-nc-nd/4.0/",
    "CC BY 4.0, no derivatives",
    "CC BY-ND 4.0 or CC0",
    "All rights reserved",
    "CC BY 4.0; © 2021 the authors, all rights reserved.",
    "DUA",
    "Data Use Agreement",
    "CC0 after signing the data use agreement",
    "Not for redistribution",
    "no redistribution",
    "The data may not be redistributed.",
    "You may not share the data",
    "This dataset is provided for research purposes only. Redistribution or commercial use is prohibited.",
    "Redistribution is not permitted",
    "Restricted access; apply to the authors",
    "Confidential",
    "available upon request",
]

UNKNOWN = [
    *(None, "", "  ", "n/a", "NA", "none", "unknown", "Unknown", "TBD", "TODO"),
    *("see README", "Creative Commons", "CC", "EULA", "CC BY 5.0", "for academic use", "Attribution 4.0 International"),
    "CC BY 4.0, non-commercial use only",
    "CC BY 4.0 SA",
    "CC BY 4.0 and CC BY-SA 4.0",
    "CC BY 3.0 and CC BY 4.0",
    "CC0 for events, CC BY-NC 4.0 for signals",
]


def _is(found, verdict, spdx, share_alike):
    return (found["redistribution"], found["spdx"], found["share_alike"]) == (verdict, spdx, share_alike)


@pytest.mark.parametrize(("text", "spdx"), FREE)
def test_what_asks_for_nothing(text, spdx):
    found = licence.judge(text)
    assert _is(found, "allowed", spdx, False) and found["sentence"].endswith("may share this derivative.")


@pytest.mark.parametrize(("text", "spdx"), CREDITED)
def test_what_asks_for_credit(text, spdx):
    found = licence.judge(text)
    assert _is(found, "allowed", spdx, False) and found["sentence"].endswith("with credit to its authors.")


@pytest.mark.parametrize(("text", "spdx"), SHARED_ALIKE)
def test_share_alike_stays(text, spdx):
    found = licence.judge(text)
    assert _is(found, "allowed", spdx, True) and found["sentence"].endswith("under the same licence.")


@pytest.mark.parametrize(("text", "spdx", "share_alike"), NOT_COMMERCIAL)
def test_not_for_commerce(text, spdx, share_alike):
    found = licence.judge(text)
    assert _is(found, "allowed", spdx, share_alike) and "not for commercial purposes" in found["sentence"]


@pytest.mark.parametrize("text", FORBIDDEN)
def test_what_must_not_be_passed_on(text):
    found = licence.judge(text)
    assert found["redistribution"] == "forbidden" and "must not be passed on" in found["sentence"]


@pytest.mark.parametrize("text", UNKNOWN)
def test_what_nobody_can_tell(text):
    found = licence.judge(text)
    assert _is(found, "unknown", None, None) and "ask its authors" in found["sentence"]


@pytest.mark.parametrize("text", ["a" * 200, "line\nbreak", {"name": "CC0"}, ["CC BY 4.0"], 4])
def test_any_value_has_a_sentence_of_one_line(text):
    found = licence.judge(text)
    assert "\n" not in found["sentence"] and len(found["sentence"]) < 200
    assert json.dumps(found)


@pytest.mark.parametrize(
    ("text", "hub", "url"),
    [
        ("CC0", "cc0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
        ("CC BY-SA 4.0", "cc-by-sa-4.0", "https://creativecommons.org/licenses/by-sa/4.0/"),
        ("CC BY-NC-SA 2.5", "cc", "https://creativecommons.org/licenses/by-nc-sa/2.5/"),
        ("CC BY 3.0 IGO", "cc", "https://creativecommons.org/licenses/by/3.0/igo/"),
        ("CC-BY", "cc", None),
        ("PDDL", "pddl", "https://opendatacommons.org/licenses/pddl/1-0/"),
        ("ODC-By-1.0", "odc-by", "https://opendatacommons.org/licenses/by/1-0/"),
        ("PD", "other", None),
        ("see README", "other", None),
        ("n/a", "unknown", None),
    ],
)
def test_names_and_addresses(text, hub, url):
    found = licence.judge(text)
    assert (found["hub"], found["url"]) == (hub, url)


def test_every_order_of_words_and_marks_gives_one_licence():
    """CC BY-NC-SA in every mixture of marks and cases is one licence, never a freer one."""
    for mark in (" ", "-", "_", " - ", "--"):
        for text in (f"CC{mark}BY{mark}NC{mark}SA{mark}4.0", f"cc{mark}by{mark}nc{mark}sa{mark}v4.0"):
            assert licence.judge(text)["spdx"] == "CC-BY-NC-SA-4.0", text
