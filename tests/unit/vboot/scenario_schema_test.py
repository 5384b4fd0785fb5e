#!/usr/bin/env python3
"""docs/schema/scenario.schema.json takes the good scenario files and the examples, and refuses those in bad/.

What is in bad_for_the_parser/ is beyond a schema (sentences, names of machines, schedules): it must pass here, so that
a file moves to bad/ when the schema learns to refuse it. scenario_files_test.cc reads the same files with the parser.
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

def schema_of(what):
    return json.loads(pathlib.Path(f"docs/schema/{what}.schema.json").read_text())


# A lab within a scenario is checked by itself: how to follow a reference differs between versions of jsonschema.
schema = schema_of("scenario")
assert schema["properties"]["lab"]["anyOf"].pop() == {"$ref": "lab.schema.json"}
schema["properties"]["lab"]["anyOf"].append({"type": "object"})
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
        scenario = yaml.safe_load(path.read_text())
        errors = list(validator.iter_errors(scenario))
        if isinstance(scenario.get("lab"), dict):
            errors += lab_validator.iter_errors(scenario["lab"])
        if bool(errors) == taken:
            failures += 1
            print(f"{path}: " + (f"refused: {errors[0].message}" if errors else "taken, and must be refused"))


files = pathlib.Path("tests/unit/vboot/scenario_files")
check([path for path in pathlib.Path("examples").glob("*.yaml") if "\nscenario:" in path.read_text()], True)
check(files.glob("good/*.yaml"), True)
check(files.glob("bad/*.yaml"), False)
check(files.glob("bad_for_the_parser/*.yaml"), True)
print(f"{failures} failures")
sys.exit(1 if failures else 0)
