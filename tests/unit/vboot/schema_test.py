#!/usr/bin/env python3
"""docs/schema/KIND.schema.json (lab, scenario, role) takes the good files and what is shipped, and refuses those in bad/.

What is in bad_for_the_parser/ is beyond a schema (sums, order, sentences, names, YAML itself): it must pass here, so that
a file moves to bad/ when the schema learns to refuse it. The parser's own tests read the same files.
"""
import json
import pathlib
import sys

try:
    import jsonschema
    import yaml
except ImportError as missing:
    print(f"skipped: {missing.name} is missing (Debian packages python3-jsonschema and python3-yaml)")
    sys.exit(77)


def schema_of(kind):
    return json.loads(pathlib.Path(f"docs/schema/{kind}.schema.json").read_text())


def examples(are_scenarios):
    return [path for path in pathlib.Path("examples").glob("*.yaml") if ("\nscenario:" in path.read_text()) == are_scenarios]


kind = sys.argv[1]
shipped = {"lab": examples(False), "scenario": examples(True), "role": pathlib.Path("roles").glob("*/role.yaml")}[kind]
files = pathlib.Path(f"tests/unit/vboot/{kind}_files")
schema = schema_of(kind)
if kind == "scenario":
    # A lab within a scenario is checked by itself: how to follow a reference differs between versions of jsonschema.
    labs = schema["properties"]["lab"]["anyOf"]
    assert labs.pop() == {"$ref": "lab.schema.json"}
    labs.append({"type": "object"})
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
lab_validator = jsonschema.Draft202012Validator(schema_of("lab"))
failures = 0


def check(paths, taken):
    global failures
    paths = sorted(paths)
    if not paths:
        print(f"no files to check that must be {'taken' if taken else 'refused'}")
        failures += 1
    for path in paths:
        document = yaml.safe_load(path.read_text())
        errors = list(validator.iter_errors(document))
        if kind == "scenario" and isinstance(document.get("lab"), dict):
            errors += lab_validator.iter_errors(document["lab"])
        if bool(errors) == taken:
            failures += 1
            print(f"{path}: " + (f"refused: {errors[0].message}" if errors else "taken, and must be refused"))


check(shipped, True)
check(files.glob("good/*.yaml"), True)
check(files.glob("bad/*.yaml"), False)
check(files.glob("bad_for_the_parser/*.yaml"), True)
print(f"{failures} failures")
sys.exit(1 if failures else 0)
