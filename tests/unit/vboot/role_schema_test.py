#!/usr/bin/env python3
"""docs/schema/role.schema.json takes the good manifests and those of the shipped roles, and refuses those in bad/.

What is in bad_for_the_parser/ is beyond a schema (YAML itself): it must pass here. lab_files_test.cc reads the same
files with the parser.
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

files = pathlib.Path("tests/unit/vboot/role_files")
schema = json.loads(pathlib.Path("docs/schema/role.schema.json").read_text())
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


check(pathlib.Path("roles").glob("*/role.yaml"), True)
check(files.glob("good/*.yaml"), True)
check(files.glob("bad/*.yaml"), False)
check(files.glob("bad_for_the_parser/*.yaml"), True)
print(f"{failures} failures")
sys.exit(1 if failures else 0)
