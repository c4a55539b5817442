#include "relay/model_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gputach::relay {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(ModelNames, AreTheIdsOfTheListAndNothingElse) {
  EXPECT_THAT(model_names(R"({"object":"list","data":[{"id":"org/tiny","object":"model","permission":[{"id":"p"}]},)"
                          R"({"root":"x","id":"lora-1"}]})"),
              ElementsAre("org/tiny", "lora-1"));
}

TEST(ModelNames, AreNoneOnAnyOtherPage) {
  for (const char* page : {"", "{}", "[]", "not json", R"({"error":"Unauthorized"})", R"({"data":{"id":7}})"})
    EXPECT_THAT(model_names(page), IsEmpty()) << page;
}

TEST(ModelNames, AreFewAndShort) {
  std::string page = R"({"data":[{"id":")" + std::string(500, 'x') + R"("})";
  for (int i = 0; i < 200; ++i) page += R"(,{"id":"m)" + std::to_string(i) + R"("})";
  EXPECT_EQ(model_names(page + "]}").size(), reported_models_max);
}

}  // namespace
}  // namespace gputach::relay
