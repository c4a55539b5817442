#!/usr/bin/env python3
"""check_headers.py sees what it is meant to see. The compiler may be given as CXX."""

import os
import pathlib
import tempfile
import unittest

import check_headers


class CheckHeaders(unittest.TestCase):
    def faults(self, text):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "src/base/x.h")
            file.parent.mkdir(parents=True)
            file.write_text(text)
            return list(check_headers.check(os.environ.get("CXX", "c++"), pathlib.Path(folder)))

    def test_a_header_that_includes_what_it_uses_is_content(self):
        self.assertEqual(self.faults("#pragma once\n#include <string>\ninline std::string f() { return {}; }\n"), [])

    def test_a_header_that_relies_on_others_is_found(self):
        faults = self.faults("#pragma once\ninline std::string f() { return {}; }\n")
        self.assertEqual(len(faults), 1)
        self.assertIn("src/base/x.h", faults[0])

    def test_a_header_without_a_guard_is_found(self):
        self.assertEqual(len(self.faults("struct S {};\n")), 1)


if __name__ == "__main__":
    unittest.main()
