"""What the demo's two repositories hold, and the changes that are made to them: a small tea house's till, in shell, with real tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_RUN_TESTS = """\
#!/bin/sh
# Runs each file in tests/ and writes a JUnit report.
failed=0
cases=
for test in tests/*.sh; do
    name=$(basename "$test" .sh)
    sleep 0.2 # stands for a test that does more
    if said=$(sh -e "$test" 2>&1); then
        echo "passed  $name"
        cases="$cases<testcase classname='tests' name='$name'/>"
    else
        echo "FAILED  $name: $said"
        cases="$cases<testcase classname='tests' name='$name'><failure>$said</failure></testcase>"
        failed=1
    fi
done
echo "<testsuite name='tests'>$cases</testsuite>" >report.xml
exit $failed
"""

_TILL = """\
# The till of a small tea house. Prices are in pence; menu.txt has them.

price_of() { # ITEM
    while read -r item price; do
        [ "$item" != "$1" ] || echo "$price"
    done <menu.txt
}

total() { # ITEM...
    sum=0
    for each; do
        sum=$((sum + $(price_of "$each")))
    done
    echo $sum
}
"""

_APP_YML = """\
# What Torii does for this repository. A change to this file is tested by its own edit.
jobs:
  lint:
    run: for file in *.sh tests/*.sh; do sh -n "$file" || exit 1; done

  unit:
    run: sh run-tests.sh
    needs: [lint]
    reports: {junit: report.xml}

  acceptance:
    run: |
      sleep 3  # stands for what takes long in a real project
      . ./till.sh
      test -n "$(price_of coffee)"
    when: {files: ["*.sh"]}

  package:
    run: mkdir dist && tar -cf dist/app.tar ./*.sh menu.txt
    artifacts: [dist/app.tar]

pipelines:
  check: [lint, unit]             # each pushed change, alone
  gate: [lint, unit, acceptance]  # each approved change, on top of those ahead of it
  post: [package]                 # the branch, after each merge
"""

APP: Mapping[str, str] = MappingProxyType(
    {
        "torii.yml": _APP_YML,
        "till.sh": _TILL,
        "menu.txt": "coffee 300\ncake 450\n",
        "run-tests.sh": _RUN_TESTS,
        "tests/menu.sh": '. ./till.sh\n[ "$(price_of coffee)" = 300 ]\n',
        "tests/total.sh": '. ./till.sh\n[ "$(total coffee cake)" = 750 ]\n',
    }
)

_LIBRARY_YML = """\
jobs:
  unit:
    run: sh run-tests.sh
    reports: {junit: report.xml}

  package:
    run: mkdir dist && tar -cf dist/library.tar pounds.sh
    artifacts: [dist/library.tar]

pipelines:
  check: [unit]
  gate: [unit]
  post: [package]
"""

_SPELLING_JOB = """\
  spelling:
    run: |
      echo "Looking for words that are not English."
      ! grep -n -w -e teh -e recieve README.md

  package:
"""

LIBRARY: Mapping[str, str] = MappingProxyType(
    {
        "torii.yml": _LIBRARY_YML,
        "README.md": "Pence in, pounds out: `pounds 250` prints 2.50.\n",
        "pounds.sh": 'pounds() { # PENCE\n    printf "%d.%02d\\n" $(($1 / 100)) $(($1 % 100))\n}\n',
        "run-tests.sh": _RUN_TESTS,
        "tests/pounds.sh": '. ./pounds.sh\n[ "$(pounds 250)" = 2.50 ]\n',
    }
)

REPOSITORIES: Mapping[str, Mapping[str, str]] = MappingProxyType({"app": APP, "library": LIBRARY})
"""What is on the branch `main` of each project when the story begins."""


FIRST = "first"
"""The tag of the commit that a project's main is at when the story begins."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A change: what it is called, what it says, the files it writes, and the change (or the tag FIRST) that it is made on."""

    project: str
    name: str
    title: str
    files: Mapping[str, str]
    base: str = FIRST


_MENU_WITH_TEA = APP["menu.txt"] + "tea 250\n"

SELL_TEA = Edit("app", "sell-tea", "Sell tea", {"menu.txt": _MENU_WITH_TEA, "tests/tea.sh": '. ./till.sh\n[ "$(price_of tea)" = 250 ]\n'})

# The three that are approved at once. They are called so that their alphabetical order, in which one push brings them, is the story's.
CLEAR_NAMES = Edit(
    "app",
    "clear-names",
    "Call the total what it is",
    {"till.sh": _TILL.replace("total()", "total_of()"), "tests/total.sh": APP["tests/total.sh"].replace("total coffee", "total_of coffee")},
    base=SELL_TEA.name,
)
PRINT_RECEIPT = Edit(
    "app",
    "print-receipt",
    "Print a receipt",
    {
        "receipt.sh": '. ./till.sh\n\nreceipt() { # ITEM...\n    printf "%s\\n" "$@"\n    echo "total $(total "$@")"\n}\n',
        "tests/receipt.sh": '. ./receipt.sh\n[ "$(receipt coffee cake | tail -n 1)" = "total 750" ]\n',
    },
    base=SELL_TEA.name,
)
SELL_JUICE = Edit(
    "app",
    "sell-juice",
    "Sell juice",
    {"menu.txt": _MENU_WITH_TEA + "juice 350\n", "tests/juice.sh": '. ./till.sh\n[ "$(price_of juice)" = 350 ]\n'},
    base=SELL_TEA.name,
)

CHEAP_TEA = Edit("app", "cheap-tea", "Sell tea for less", {"menu.txt": APP["menu.txt"] + "tea 200\n"})

CHECK_SPELLING = Edit(
    "library",
    "check-spelling",
    "Check the spelling of the README",
    {
        "torii.yml": _LIBRARY_YML.replace("  package:\n", _SPELLING_JOB, 1)
        .replace("check: [unit]", "check: [unit, spelling]")
        .replace("gate: [unit]", "gate: [unit, spelling]")
    },
)

EDITS = (SELL_TEA, CLEAR_NAMES, PRINT_RECEIPT, SELL_JUICE, CHEAP_TEA, CHECK_SPELLING)
