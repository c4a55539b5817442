#!/usr/bin/env python3
"""check_layers.py sees what it is meant to see: each test builds a small tree with one fault in it."""

import pathlib
import tempfile
import unittest

import check_layers

TABLE = """
[layers]
base <-
model <- base
sources <- model base
sources/nvml <- sources base
sources/worker <- sources base
http <- base
app <- http sources/nvml sources/worker sources model base
[outside]
sim <- sources/nvml/abi.h
[headers]
boost/ <- src/http/*.cc src/http/net.h
zlib.h <- src/publish/*
gtest/ <- *_test.cc
[names]
\\bsteady_clock::now\\b <- src/base/clock.cc *_test.cc
"""
CMAKE = """
gputach_layer(base)
gputach_layer(model base)
# gputach_layer(model base http) is a comment
gputach_layer(sources base model)
gputach_layer(sources/nvml sources base)
gputach_layer(sources/worker sources base)
gputach_layer(http base)
gputach_layer(app http sources/nvml sources/worker sources model base)
"""
TREE = {
    "tools/layers.txt": TABLE,
    "CMakeLists.txt": CMAKE,
    "src/base/clock.h": "#pragma once\n#include <chrono>\n",
    "src/base/clock.cc": '#include "base/clock.h"\nauto t = std::chrono::steady_clock::now();\n',
    "src/sources/nvml/abi.h": "#pragma once\n",
    "src/http/net.h": "#include <boost/asio.hpp>\n#include <sys/socket.h>\n",
    "src/http/server.cc": '#include "http/net.h"\n#include "base/clock.h"\n',
    "src/app/main.cc": '#include "sources/nvml/abi.h"\n#include "http/net.h"\n',
    "src/base/clock_test.cc": "#include <gtest/gtest.h>\nauto t = steady_clock::now();\n",
    "sim/load.h": "",
    "sim/fake.cc": '#include "load.h"\n#include "sources/nvml/abi.h"\n',
}


class CheckLayers(unittest.TestCase):
    def faults(self, files):
        """Faults of the tree above, with these files added or replaced."""
        with tempfile.TemporaryDirectory() as folder:
            for path, text in (TREE | files).items():
                file = pathlib.Path(folder, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            return list(check_layers.check(pathlib.Path(folder)))

    def assert_only_fault(self, files, *words):
        faults = self.faults(files)
        self.assertEqual(len(faults), 1, faults)
        for word in words:
            self.assertIn(word, faults[0])

    def test_a_tree_that_keeps_to_the_table_has_no_fault(self):
        self.assertEqual(self.faults({}), [])

    def test_an_include_against_the_direction_is_found_with_its_line(self):
        self.assert_only_fault({"src/base/x.cc": '\n#include "http/net.h"\n'}, "src/base/x.cc:2:", "base must not")

    def test_nobody_includes_app(self):
        self.assert_only_fault(
            {"src/app/flags.h": "", "src/http/x.cc": '#include "app/flags.h"\n'}, "http must not include app/flags.h"
        )

    def test_sources_never_include_each_other(self):
        text = '#include "sources/nvml/abi.h"\n'
        self.assert_only_fault({"src/sources/worker/x.cc": text}, "sources/worker must not")

    def test_a_table_that_lets_sources_know_each_other_is_refused(self):
        table = TABLE.replace("sources/worker <- sources base", "sources/worker <- sources sources/nvml base")
        cmake = CMAKE.replace("(sources/worker sources", "(sources/worker sources sources/nvml")
        self.assert_only_fault({"tools/layers.txt": table, "CMakeLists.txt": cmake}, "must not know each other")

    def test_a_table_with_a_cycle_is_refused(self):
        table = TABLE.replace("base <-\n", "base <- model\n", 1)
        cmake = CMAKE.replace("(base)", "(base model)")
        self.assert_only_fault({"tools/layers.txt": table, "CMakeLists.txt": cmake}, "base takes from model")

    def test_cmake_and_the_table_must_agree(self):
        self.assert_only_fault({"CMakeLists.txt": CMAKE.replace("(http base)", "(http base model)")}, "layer(http)")
        self.assert_only_fault({"CMakeLists.txt": CMAKE.replace("gputach_layer(http base)\n", "")}, "(no line)")

    def test_a_folder_without_a_row_is_found(self):
        self.assert_only_fault({"src/extra/x.h": ""}, "src/extra/x.h:1:", "no row")

    def test_an_own_header_is_named_by_its_path_below_src(self):
        self.assert_only_fault({"src/base/x.cc": '#include "clock.h"\n'}, "not a path below src/")

    def test_third_party_headers_stay_in_their_corner(self):
        self.assert_only_fault({"src/http/server.h": "#include <boost/asio.hpp>\n"}, "src/http/server.h:1:", "<boost/")
        self.assert_only_fault({"src/http/x.cc": "#include <zlib.h>\n"}, "<zlib.h>")
        self.assert_only_fault({"src/base/x.cc": "#include <gtest/gtest.h>\n"}, "<gtest/gtest.h>")

    def test_an_unknown_library_is_refused(self):
        self.assert_only_fault({"src/base/x.cc": "#include <fmt/core.h>\n"}, "not in the table")

    def test_reserved_names_stay_in_their_files(self):
        self.assert_only_fault({"src/http/x.cc": "auto t = std::chrono::steady_clock::now();\n"}, "steady_clock::now")

    def test_comments_and_literals_do_not_count(self):
        text = '// #include "app/x.h" steady_clock::now\n/* <boost/asio.hpp>\n*/ auto s = "steady_clock::now";\n'
        self.assertEqual(self.faults({"src/base/x.cc": text}), [])

    def test_the_simulator_takes_nothing_from_src_but_what_the_table_names(self):
        self.assert_only_fault({"sim/x.cc": '#include "base/clock.h"\n'}, "sim must not include base/clock.h")


if __name__ == "__main__":
    unittest.main()
