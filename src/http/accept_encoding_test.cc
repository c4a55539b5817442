#include "http/accept_encoding.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace gputach::http {
namespace {

Coding choose(std::string_view value) {
  const Field field{"Accept-Encoding", value};
  return choose_coding(std::span(&field, 1));
}

TEST(AcceptEncoding, WithoutTheFieldTheAnswerIsIdentity) {
  EXPECT_EQ(choose_coding({}), Coding::identity);
  const Field others[] = {{"Host", "x"}, {"Accept", "gzip"}, {"Accept-Encodin", "gzip"}};
  EXPECT_EQ(choose_coding(others), Coding::identity);
}

TEST(AcceptEncoding, GzipIsChosenWhereTheClientTakesIt) {
  for (const std::string_view value : {"gzip",
                                       "GZip",
                                       "x-gzip",
                                       "X-GZIP",
                                       "gzip, deflate, br",
                                       "deflate, gzip, br, zstd",
                                       "br;q=1.0, gzip;q=0.8, *;q=0.1",
                                       "*",
                                       "*;q=0.001",
                                       "gzip;q=1",
                                       "gzip;q=1.000",
                                       "gzip;q=0.001",
                                       "gzip;Q=0.5",
                                       "gzip ; q=0.5",
                                       "gzip\t;\tq=0.5",
                                       ", ,gzip,",
                                       "identity;q=0, gzip",
                                       "identity;q=0.5, gzip;q=0.5",
                                       "gzip, identity",
                                       "gzip;q=0.4, identity;q=0.05",
                                       "identity;q=0, *",
                                       "compress;q=0, gzip",
                                       "gzip;q=1."})
    EXPECT_EQ(choose(value), Coding::gzip) << value;
}

TEST(AcceptEncoding, IdentityIsChosenWhereGzipIsNotNamedExcludedOrLessWanted) {
  for (const std::string_view value : {"",
                                       " ",
                                       ",",
                                       "identity",
                                       "br",
                                       "deflate",
                                       "gzip;q=0",
                                       "gzip;q=0.",
                                       "gzip;q=0.000",
                                       "x-gzip;q=0",
                                       "*;q=0",
                                       "gzip;q=0, *",
                                       "gzip;q=0, *;q=1",
                                       "identity;q=1, gzip;q=0.5",
                                       "identity, gzip;q=0.999",
                                       "gzip;q=0.05, identity;q=0.4",
                                       "identity;q=0",
                                       "identity;q=0, br",
                                       "gzip, gzip;q=0",
                                       "gzip;q=0, x-gzip",
                                       "gzipped",
                                       "xgzip",
                                       "gzip-x"})
    EXPECT_EQ(choose(value), Coding::identity) << value;
}

TEST(AcceptEncoding, AMalformedFieldMeansIdentityWhateverElseItSays) {
  for (const std::string_view value :
       {"gzip;q=2",      "gzip;q=1.001", "gzip;q=-1",      "gzip;q=",      "gzip;q",    "gzip;",      "gzip;q=.5",
        "gzip;q=0.1234", "gzip;q=0,5",   "gzip;q=0.5;q=1", "gzip;level=9", "gzip br",   "gzip, br x", ";q=1, gzip",
        "gzip, br;q=x",  "gzip;q =1",    "gzip;q= 1",      "gzip;q=1e0",   "gzip;q=01", "gzip;q=0x1", "br;q=nan, gzip"})
    EXPECT_EQ(choose(value), Coding::identity) << value;
}

TEST(AcceptEncoding, RepeatedFieldsAreOneList) {
  const Field split[] = {{"accept-encoding", "br"}, {"Host", "x"}, {"ACCEPT-ENCODING", "gzip;q=0.5"}};
  EXPECT_EQ(choose_coding(split), Coding::gzip);
  const Field excluded[] = {{"Accept-Encoding", "gzip"}, {"Accept-Encoding", "gzip;q=0"}};
  EXPECT_EQ(choose_coding(excluded), Coding::identity);
  const Field broken[] = {{"Accept-Encoding", "gzip"}, {"Accept-Encoding", "br;q=9"}};
  EXPECT_EQ(choose_coding(broken), Coding::identity);
}

TEST(AcceptEncoding, NoMixtureOfItsOwnPiecesMakesItReadBeyondTheField) {
  const auto seed = std::random_device{}();
  std::mt19937 random(seed);
  constexpr std::string_view pieces[] = {"gzip", "x-gzip", "identity", "*",  ";", "q=", "0",  "1", ".",
                                         "5",    ",",      " ",        "\t", "=", "q",  "\"", "",  "\xFF"};
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (auto left = random() % 12; left > 0; --left) text += pieces[random() % std::size(pieces)];
    const std::vector<char> exact(text.begin(),
                                  text.end());  // on the heap without an end mark: ASan sees one byte more
    const Coding coding = choose({exact.data(), exact.size()});
    if (coding == Coding::gzip) {
      EXPECT_TRUE(text.find("gzip") != std::string::npos || text.find('*') != std::string::npos)
          << text << " seed " << seed;
    }
  }
}

}  // namespace
}  // namespace gputach::http
