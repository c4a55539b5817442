#include "routes/access.h"

#include <gtest/gtest.h>

#include <vector>

namespace gputach {
namespace {

using http::Entrance;

constexpr Exposure all[] = {Exposure::contract, Exposure::read, Exposure::sensitive, Exposure::admin};

TEST(Access, WhatEachListenerServes) {
  for (const Exposure exposure : all) {
    const bool open = exposure == Exposure::contract || exposure == Exposure::read;
    EXPECT_EQ(is_served(exposure, Entrance::common), open) << to_string(exposure);
    EXPECT_TRUE(is_served(exposure, Entrance::restricted)) << to_string(exposure);
  }
}

const Tokens tokens = {"", "secret", "", "other"};

TokenCheck check(std::vector<http::Field> fields, Exposure exposure = Exposure::read) {
  http::Request request;
  request.fields = fields;
  return check_token(exposure, request, tokens);
}

TokenCheck check_value(std::string_view value, Exposure exposure = Exposure::read) {
  return check(std::vector<http::Field>{{"Host", "x"}, {"Authorization", value}}, exposure);
}

TEST(Access, AnExposureWithoutATokenAsksForNone) {
  EXPECT_EQ(check({}, Exposure::contract), TokenCheck::passed);
  EXPECT_EQ(check_value("Basic abc", Exposure::sensitive), TokenCheck::passed);
  EXPECT_EQ(check_value("Bearer ", Exposure::contract), TokenCheck::passed);
}

TEST(Access, TheTokenOfTheExposurePassesAndNoOtherDoes) {
  EXPECT_EQ(check_value("Bearer secret"), TokenCheck::passed);
  EXPECT_EQ(check_value("bEARER secret"), TokenCheck::passed);
  EXPECT_EQ(check_value("Bearer   secret"), TokenCheck::passed) << "1*SP (RFC 9110 section 11.4)";
  EXPECT_EQ(check({{"aUTHORIZATION", "Bearer secret"}}), TokenCheck::passed);
  EXPECT_EQ(check_value("Bearer other", Exposure::admin), TokenCheck::passed);
  for (const std::string_view value :
       {"Bearer other", "Bearer Secret", "Bearer secre", "Bearer secrets", "Bearer secretsecret", "Bearer", "Bearer ",
        "Bearer secret,", "Bearer secret x", "Bearer \tsecret",
        "Bearer s\xFF"
        "cret",
        "Bearer \"secret\""})
    EXPECT_EQ(check_value(value), TokenCheck::wrong) << value;
  EXPECT_EQ(check_value("Bearer secret", Exposure::admin), TokenCheck::wrong);
}

TEST(Access, NoCredentialsOrThoseOfAnotherSchemeAreMissing) {
  EXPECT_EQ(check({}), TokenCheck::missing);
  for (const std::string_view value :
       {"", "secret", "Basic secret", "Bearers secret", "Bearer\tsecret", " Bearer secret"})
    EXPECT_EQ(check_value(value), TokenCheck::missing) << value;
}

TEST(Access, TwoFieldsAreWrongEvenWhenOneIsRight) {
  EXPECT_EQ(check({{"Authorization", "Bearer secret"}, {"authorization", "Bearer secret"}}), TokenCheck::wrong);
  EXPECT_EQ(check({{"Authorization", "Bearer secret"}, {"Authorization", "Basic x"}}), TokenCheck::wrong);
  EXPECT_EQ(check({{"Authorization", "Basic x"}, {"Authorization", "Bearer secret"}}), TokenCheck::wrong);
}

TEST(Access, TheComparisonIsThatOfStrings) {
  const std::string_view texts[] = {"", "a", "b", "aa", "ab", "ba", "aaa", "aba", "abab", std::string_view("a\0", 2)};
  for (const std::string_view left : texts)
    for (const std::string_view right : texts) EXPECT_EQ(equal_in_constant_time(left, right), left == right);
}

}  // namespace
}  // namespace gputach
