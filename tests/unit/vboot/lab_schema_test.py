#!/usr/bin/env python3
"""docs/schema/lab.schema.json takes the good lab files and the examples, and refuses those in bad/.

What is in bad_for_the_parser/ is beyond a schema (sums, order, YAML itself): it must pass here, so that a file
moves to bad/ when the schema learns to refuse it. lab_files_test.cc reads the same files with the parser.
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

files = pathlib.Path("tests/unit/vboot/lab_files")
schema = json.loads(pathlib.Path("docs/schema/lab.schema.json").read_text())
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)

failures = 0


def check(paths, taken):
    global failures
    paths = sorted(paths)
    if not paths:
        print(f"no files to check that must be {'taken' if taken else 'refused'}")
        failures += 1
    for path in paths:
        errors = list(validator.iter_errors(yaml.safe_load(path.read_text())))
        if bool(errors) == taken:
            failures += 1
            print(f"{path}: " + (f"refused: {errors[0].message}" if errors else "taken, and must be refused"))


examples = [path for path in pathlib.Path("examples").glob("*.yaml") if "\nscenario:" not in path.read_text()]
check(examples, True)
check(files.glob("good/*.yaml"), True)
check(files.glob("bad/*.yaml"), False)
check(files.glob("bad_for_the_parser/*.yaml"), True)
print(f"{failures} failures")
sys.exit(1 if failures else 0)
