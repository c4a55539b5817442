#include "app/reload.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace gputach {
namespace {

using namespace std::chrono_literals;

class ReloaderTest : public testing::Test {
 protected:
  ~ReloaderTest() override {
    ::unlink(file_.c_str());
    ::unlink(token_.c_str());
  }

  static void write(const std::string& path, std::string_view text) { std::ofstream(path) << text; }

  Reloader make_reloader() {
    const std::vector<Given> outside = {{"config", file_, "--config"}, {"cors-origin", "given", "--cors-origin"}};
    const auto setup = make_setup(outside, FlagUse::serving);
    EXPECT_TRUE(setup);
    return {outside, setup->given, {}, [this](Reloader::Live live) { applied_.push_back(std::move(live)); }};
  }

  std::string file_ = testing::TempDir() + "gputach-reload-" + std::to_string(::getpid());
  std::string token_ = file_ + ".token";
  std::vector<Reloader::Live> applied_;
};

TEST_F(ReloaderTest, AppliesWhatTheFileSaysNow) {
  write(file_, "cache-ttl = '1s'");
  Reloader reloader = make_reloader();
  write(token_, "secret\n");
  write(file_, "cache-ttl = '2s'\nconnections-max = 5\ncors-origin = 'file'\ntoken-files = 'admin=" + token_ + "'");
  reloader.reload();
  ASSERT_EQ(applied_.size(), 1U);
  EXPECT_EQ(applied_[0].cache_ttl, 2s);
  EXPECT_EQ(applied_[0].limits.connections_max, 5U);
  EXPECT_EQ(applied_[0].cors_origin, "given") << "the command line goes before the file";
  EXPECT_EQ(applied_[0].tokens, (Tokens{"", "", "", "secret"}));
  EXPECT_EQ(applied_[0].shown.find("secret"), std::string::npos);
  write(token_, "other");
  reloader.reload();
  ASSERT_EQ(applied_.size(), 2U);
  EXPECT_EQ(token_of(Exposure::admin, applied_[1].tokens), "other");
}

TEST_F(ReloaderTest, AppliesNothingWhenAnythingIsWrong) {
  write(file_, "cache-ttl = '1s'");
  Reloader reloader = make_reloader();
  for (const std::string& bad :
       {std::string("cache-ttl = '2s'\nlisten = 'x'"), std::string("cache-ttl = '2s'\nnope = 1"), std::string("["),
        "cache-ttl = '2s'\ntoken-files = 'admin=" + token_ + "'"}) {
    write(file_, bad);
    reloader.reload();
    EXPECT_TRUE(applied_.empty()) << bad;
  }
  ::unlink(file_.c_str());
  reloader.reload();
  EXPECT_TRUE(applied_.empty()) << "the file has gone";
  write(file_, "cache-ttl = '2s'");
  reloader.reload();
  EXPECT_EQ(applied_.size(), 1U);
}

TEST_F(ReloaderTest, ShowsWhatHoldsAndNotWhatWaitsForARestart) {
  write(file_, "listen = '127.0.0.1:1'");
  Reloader reloader = make_reloader();
  write(file_, "listen = '127.0.0.1:2'\ncache-ttl = '2s'");
  reloader.reload();
  ASSERT_EQ(applied_.size(), 1U);
  EXPECT_NE(applied_[0].shown.find("127.0.0.1:1"), std::string::npos);
  EXPECT_EQ(applied_[0].shown.find("127.0.0.1:2"), std::string::npos);
  EXPECT_NE(applied_[0].shown.find(R"("cache-ttl":{"value":"2s")"), std::string::npos);
}

}  // namespace
}  // namespace gputach
