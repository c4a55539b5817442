#include "app/token_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace gputach {
namespace {

TEST(Tokens, AListNamesAFileForEachExposure) {
  const auto files = parse_token_files("sensitive=/a=b,admin=c");
  ASSERT_TRUE(files);
  EXPECT_EQ(*files, (std::vector<TokenFile>{{Exposure::sensitive, "/a=b"}, {Exposure::admin, "c"}}));
  EXPECT_EQ(parse_token_files(""), std::vector<TokenFile>{});
  for (const char* bad : {"x", "=a", "admin", "admin=", "Admin=a", "admin=a,", "admin=a,admin=b", "nobody=a"})
    EXPECT_FALSE(parse_token_files(bad)) << bad;
}

TEST(Tokens, LineBreaksAtTheEndOfAFileAreNotPartOfAToken) {
  EXPECT_EQ(token_in("abc-._~+/09AZ=="), "abc-._~+/09AZ==");
  EXPECT_EQ(token_in("abc\n"), "abc");
  EXPECT_EQ(token_in("abc\r\n\n"), "abc");
}

TEST(Tokens, WhatNoClientCouldSendIsRefused) {
  using namespace std::string_view_literals;
  for (const std::string_view bad :
       {""sv, "\n"sv, "="sv, "a b"sv, " a"sv, "a "sv, "a\nb"sv, "a=b"sv, "a\0"sv, "\xc3\xa4"sv, "\"a\""sv, "a,b"sv})
    EXPECT_FALSE(token_in(bad)) << bad;
}

class TokenFiles : public testing::Test {
 protected:
  ~TokenFiles() override { ::unlink(path_.c_str()); }
  Result<Tokens> read(std::string_view content) {
    std::ofstream(path_) << content;
    const TokenFile files[] = {{Exposure::admin, path_}};
    return read_tokens(files);
  }

  std::string path_ = testing::TempDir() + "gputach-token-" + std::to_string(::getpid());
};

TEST_F(TokenFiles, TheTokenStandsAtItsExposure) {
  const auto tokens = read("secret\n");
  ASSERT_TRUE(tokens);
  EXPECT_EQ(*tokens, (Tokens{"", "", "", "secret"}));
}

TEST_F(TokenFiles, AnErrorNamesExposureAndFileAndNeverTheToken) {
  EXPECT_EQ(read("se cret").error().context, "token of admin: " + path_ +
                                                 " holds characters that a bearer token cannot have "
                                                 "(RFC 6750 section 2.1)");
  EXPECT_EQ(read("\n").error().context, "token of admin: " + path_ + " holds no token");
}

TEST_F(TokenFiles, MoreThan4KiBAreRefused) {
  EXPECT_TRUE(read(std::string(4096, 'a')));
  EXPECT_EQ(read(std::string(4097, 'a')).error().context, "token of admin: " + path_ + " holds more than 4096 bytes");
}

TEST_F(TokenFiles, WhatIsNoFileIsRefusedAtOnce) {
  const TokenFile folder[] = {{Exposure::read, testing::TempDir()}};
  EXPECT_TRUE(read_tokens(folder).error().context.ends_with("is not a file"));
  const TokenFile absent[] = {{Exposure::read, path_}};
  EXPECT_EQ(read_tokens(absent).error().context, "token of read: " + path_ + ": No such file or directory");
}

}  // namespace
}  // namespace gputach
