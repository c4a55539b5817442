#!/usr/bin/env python3
"""tidy.py sees what it is meant to see."""

import pathlib
import tempfile
import unittest

import cpp_text
import tidy

HEADER = "// Purpose: to be right.\n#pragma once\n"


class Tidy(unittest.TestCase):
    def faults(self, path, text):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            return list(tidy.check(pathlib.Path(folder)))

    def assert_only_fault(self, path, text, *words):
        faults = self.faults(path, text)
        self.assertEqual(len(faults), 1, faults)
        for word in words:
            self.assertIn(word, faults[0])

    def test_a_good_header_and_a_good_source_have_no_fault(self):
        self.assertEqual(self.faults("src/base/x.h", HEADER), [])
        self.assertEqual(self.faults("src/base/x.cc", "int f() {\n  return 1;\n}\n"), [])

    def test_a_function_of_71_lines_is_too_long(self):
        self.assert_only_fault("src/x.cc", "\nint f() {\n" + "  g();\n" * 69 + "}\n", "src/x.cc:2:", "71 lines")
        self.assertEqual(self.faults("src/x.cc", "int f() {\n" + "  g();\n" * 68 + "}\n"), [])

    def test_tests_the_simulator_and_member_functions_are_measured_too(self):
        body = " {\n" + "  g();\n" * 70 + "}\n"
        for path, head in (
            ("src/x_test.cc", "TEST(A, B)"),
            ("sim/x.cc", "void f() const noexcept"),
            ("tests/x.cc", "namespace n {\nstruct S {\nauto f() -> int"),
            ("src/x.cc", "S::S(int a) : a_{a}, b_{2}"),
            ("src/x.cc", "S::S(int a)\n    : a_(a),\n      b_{S::make({1, 2})}"),
            ("src/x.cc", "template <class T>\n  requires(!std::same_as<T, char>)\nvoid f(T x)"),
        ):
            with self.subTest(head=head):
                self.assert_only_fault(path, head + body, "72 lines")

    def test_namespaces_classes_and_tables_may_be_long(self):
        for head in (
            "namespace n {",
            "class A final : public B {",
            "template <class T>\n  requires(is_fine<T>())\nstruct A {",
            "constexpr Row rows[] = {",
            "auto r = array<R>({",
        ):
            with self.subTest(head=head):
                self.assertEqual(self.faults("src/x.cc", head + "\n" + "int x;\n" * 80 + "}\n"), [])

    def test_a_lambda_belongs_to_its_function(self):
        self.assertEqual(list(tidy.functions("void f() {\n  g([](int x) {\n    h(x);\n  });\n}\n")), [(1, 5)])

    def test_braces_in_comments_and_literals_do_not_confuse_it(self):
        text = "void f() {\n  g('{', \"{\", R\"j({{)j\", 1'000);  // {\n}\n" + "int x;\n" * 80 + "void h() {\n}\n"
        self.assertEqual(list(tidy.functions(cpp_text.without_comments_and_literals(text))), [(1, 3), (84, 85)])

    def test_a_file_of_401_lines_and_a_line_of_121_characters_are_too_long(self):
        self.assert_only_fault("src/x.cc", "int x;\n" * 401, "401 lines")
        self.assert_only_fault("src/x.cc", "int " + "x" * 116 + ";\n", "121 characters")
        self.assertEqual(self.faults("src/x.cc", "int x;\n" * 400), [])

    def test_tables_that_the_formatter_leaves_alone_may_be_wider(self):
        wide = "x" * 200 + "\n"
        self.assertEqual(self.faults("src/x.cc", "// clang-format off\n" + wide + "// clang-format on\n"), [])
        self.assert_only_fault("src/x.cc", "// clang-format off\n// clang-format on\n" + wide, "200 characters")

    def test_a_header_needs_its_contract_and_its_guard(self):
        self.assert_only_fault("src/base/x.h", "#pragma once\n", "contract")
        self.assert_only_fault("src/base/x.h", "// Purpose: a.\n", "#pragma once")
        self.assert_only_fault("src/base/x.h", "// Purpose: a. Units: b.\n#pragma once\n", "'Units:' begins a line")

    def test_banned_calls_are_found_in_their_folders(self):
        for path, call in (
            ("src/x.cc", 'std::printf("x")'),
            ("src/x.cc", "std::cout << 1"),
            ("src/x_test.cc", "std::this_thread::sleep_for(1ms)"),
            ("tests/e2e/x.cc", "::usleep(1)"),
            ("sim/x.cc", "sprintf(a, b)"),
            ("src/x.cc", "int i = rand()"),
            ("src/x.cc", "::system(command)"),
            ("src/x.cc", "popen(command, mode)"),
        ):
            with self.subTest(call=call):
                self.assert_only_fault(path, f"\nauto x = {call};\n", f"{path}:2:")

    def test_calls_that_only_look_alike_are_not(self):
        for text in ("snprintf(a, b, c);", "file.system();", "operand(1);", "// system(1)", 'auto s = "popen(";'):
            with self.subTest(text=text):
                self.assertEqual(self.faults("src/x.cc", text + "\n"), [])
        self.assertEqual(self.faults("sim/x.cc", "std::this_thread::sleep_for(1s);\n"), [])

    def test_a_line_may_say_why_it_breaks_the_rule(self):
        self.assertEqual(self.faults("src/x_test.cc", "usleep(9);  // tidy: nothing may happen meanwhile\n"), [])
        self.assert_only_fault("src/x_test.cc", "usleep(9);  // tidy:\n", "usleep")

    def test_a_skipped_test_says_not_run(self):
        self.assert_only_fault("src/x_test.cc", "GTEST_SKIP();\n", "NOT RUN")
        self.assert_only_fault("src/x_test.cc", '\nGTEST_SKIP() << "no";\n', "src/x_test.cc:2:", "NOT RUN")
        self.assertEqual(self.faults("src/x_test.cc", 'GTEST_SKIP() << "NOT RUN: no GPU";\n'), [])

    def test_words_that_promise_work_are_found_in_comments_too(self):
        for word in ("TODO", "FIXME", "stub", "Placeholder"):
            with self.subTest(word=word):
                self.assert_only_fault("src/x.cc", f"// {word} x\n", word)
        self.assertEqual(self.faults("src/x.cc", "// stubborn\n"), [])


if __name__ == "__main__":
    unittest.main()
