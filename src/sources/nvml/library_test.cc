#include "sources/nvml/library.h"

#include <gtest/gtest.h>

#include "sources/nvml/fake_driver.h"

namespace gputach::nvml {
namespace {

TEST(Library, AFileThatIsNotThereIsNamed) {
  const auto library = Library::open("/nonexistent/libnvidia-ml.so.1");
  ASSERT_FALSE(library);
  EXPECT_EQ(library.error().code, ErrorCode::not_initialized);
  EXPECT_NE(library.error().context.find("/nonexistent/libnvidia-ml.so.1"), std::string::npos);
  EXPECT_EQ(library.error().context.find("wsl"), std::string::npos) << "only the explicit path is tried";
}

TEST(Library, WithoutAPathEveryPlaceIsNamedWhenNoneHasIt) {
  const auto library = Library::open("");
  if (library) GTEST_SKIP() << "NOT RUN: this machine has a driver";
  EXPECT_NE(library.error().context.find("libnvidia-ml.so.1: "), std::string::npos);
  EXPECT_NE(library.error().context.find("; /usr/lib/wsl/lib/libnvidia-ml.so.1: "), std::string::npos);
}

TEST(Library, ALibraryOfSomethingElseIsRefusedWithTheMissingSymbol) {
  const auto library = Library::open("libc.so.6");
  ASSERT_FALSE(library);
  EXPECT_EQ(library.error().context, "libc.so.6: no symbol nvmlInit_v2");
}

TEST(Library, EverySymbolOfTheTableIsLookedUp) {
  std::set<std::string> asked;
  const auto functions = resolve_functions([&](const char* symbol) {
    asked.insert(symbol);
    return fake::symbols().at(symbol);
  });
  ASSERT_TRUE(functions);
  EXPECT_EQ(asked.size(), fake::symbols().size());
}

TEST(Library, OnlyThreeSymbolsAreIndispensable) {
  std::set<std::string> indispensable;
  for (const auto& [absent, address] : fake::symbols()) {
    const auto functions =
        resolve_functions([&](const char* symbol) { return absent == symbol ? nullptr : fake::symbols().at(symbol); });
    if (functions) continue;
    indispensable.insert(absent);
    EXPECT_EQ(functions.error().context, "no symbol " + absent);
  }
  EXPECT_EQ(indispensable,
            (std::set<std::string>{"nvmlInit_v2", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2"}));
}

TEST(Library, AFunctionThatIsNotExportedSaysSo) {
  const Functions functions;
  MemoryV2 memory{};
  EXPECT_EQ(functions.memory_info_v2(nullptr, &memory), Return::function_not_found);
  EXPECT_EQ(functions.init(), Return::function_not_found);
}

}  // namespace
}  // namespace gputach::nvml
