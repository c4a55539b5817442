#include "app/access_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <vector>

#include "base/fd.h"

namespace gputach {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr auto patience = 20s;

http::Exchange exchange(std::string_view target = "/proxy/stats") {
  return {.id = "0123456789abcdef",
          .method = "GET",
          .target = target,
          .peer = "127.0.0.1:4711",
          .entrance = http::Entrance::common,
          .status = 200,
          .body_bytes = 2789,
          .took = 14'999ns};
}

const WallTime moment{std::chrono::nanoseconds(1'762'684'245'123'999'999)};

TEST(AccessLine, TellsThatAnAnswerBrokeOff) {
  http::Exchange left = exchange();
  left.cut = true;
  EXPECT_TRUE(format_access_line(moment, left).ends_with(",\"duration_us\":14,\"cut\":true}\n"));
}

TEST(AccessLine, IsOneObjectWithItsKeysInThisOrder) {
  EXPECT_EQ(format_access_line(moment, exchange()),
            R"({"time":"2025-11-09T10:30:45.123Z","id":"0123456789abcdef","peer":"127.0.0.1:4711",)"
            R"("entrance":"common","method":"GET","target":"/proxy/stats","status":200,"bytes":2789,"duration_us":14})"
            "\n");
  http::Exchange rejected;
  rejected.id = "x";
  rejected.peer = "unix";
  rejected.entrance = http::Entrance::restricted;
  rejected.status = 400;
  EXPECT_EQ(format_access_line(moment, rejected),
            R"({"time":"2025-11-09T10:30:45.123Z","id":"x","peer":"unix","entrance":"restricted","method":"",)"
            R"("target":"","status":400,"bytes":0,"duration_us":0})"
            "\n");
  EXPECT_EQ(format_dropped_line(moment, 12), "{\"time\":\"2025-11-09T10:30:45.123Z\",\"dropped\":12}\n");
}

TEST(AccessLine, ALongTargetIsCutAndSaysSo) {
  const std::string exact(AccessLog::target_bytes_max, 'x');
  EXPECT_NE(format_access_line(moment, exchange(exact)).find("\"target\":\"" + exact + "\",\"status\""),
            std::string::npos);
  EXPECT_NE(format_access_line(moment, exchange(exact + "y"))
                .find("\"target\":\"" + exact + "\",\"target_cut_from\":401,\"status\""),
            std::string::npos);
}

TEST(AccessLine, HostileBytesAreEscapedAndNeverMakeASecondLine) {
  EXPECT_NE(format_access_line(moment, exchange("/\"\\\r\n\x1F\x7F\xFF{}"))
                .find(R"("target":"/\"\\\r\n\u001f\u007f)"
                      "\xEF\xBF\xBD{}\""),
            std::string::npos);
  const auto seed = std::random_device{}();
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    std::string noise(random() % 2000, '\0');
    for (char& c : noise) c = static_cast<char>(round % 2 == 0 ? random() % 32 : random());
    http::Exchange hostile = exchange(noise);
    hostile.id = hostile.method = hostile.peer = noise;
    hostile.status = -2'000'000'000;
    hostile.body_bytes = ~0ULL;
    hostile.took = Duration::max();
    const std::string line = format_access_line(WallTime::max(), hostile);
    EXPECT_LE(line.size(), AccessLog::line_bytes_max) << "seed " << seed;
    EXPECT_EQ(std::ranges::count_if(line, [](char c) { return static_cast<unsigned char>(c) < ' '; }), 1);
    EXPECT_TRUE(line.ends_with("}\n"));
  }
}

class AccessLogFile : public testing::Test {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);  // as main does
    std::string name = (fs::temp_directory_path() / "gputach-access-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(std::string_view name = "log") const { return folder_ / name; }
  std::unique_ptr<AccessLog> open(const std::string& where) {
    auto log = AccessLog::open(where, clock_);
    EXPECT_TRUE(log) << log.error().context;
    return log ? *std::move(log) : nullptr;
  }
  static std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
  static std::string text_of(const std::string& file) {
    std::ostringstream out;
    out << std::ifstream(file).rdbuf();
    return out.str();
  }
  template <class Condition>
  static bool wait_for(Condition condition) {
    const SystemClock clock;
    for (const Instant deadline = clock.now() + patience; !condition(); std::this_thread::yield())
      if (clock.now() > deadline) return false;
    return true;
  }

  ManualClock clock_;
  fs::path folder_;
};

// Lines told as missing in a log, by its own account.
std::uint64_t told(const std::vector<std::string>& lines) {
  constexpr std::string_view key = "\"dropped\":";
  std::uint64_t sum = 0;
  for (const std::string& line : lines) {
    const std::size_t at = line.find(key);
    if (at == std::string::npos) continue;
    std::uint64_t count = 0;
    std::from_chars(line.data() + at + key.size(), line.data() + line.size(), count);
    sum += count;
  }
  return sum;
}

TEST_F(AccessLogFile, EveryLineIsThereInOrderOnceTheLogHasEnded) {
  auto log = open(path());
  for (int i = 0; i < 500; ++i) log->write(exchange("/" + std::to_string(i)));
  EXPECT_EQ(log->dropped(), 0u);
  log.reset();
  const auto lines = lines_of(text_of(path()));
  ASSERT_EQ(lines.size(), 500u);
  for (std::size_t i = 0; i < lines.size(); ++i)
    EXPECT_NE(lines[i].find("\"/" + std::to_string(i) + "\""), std::string::npos) << lines[i];
}

TEST_F(AccessLogFile, LinesAppearWhileTheLogLivesAndAreAddedToWhatWasThere) {
  std::ofstream(path()) << "before\n";
  auto log = open(path());
  log->write(exchange());
  EXPECT_TRUE(wait_for([&] { return lines_of(text_of(path())).size() == 2; }));
  EXPECT_EQ(lines_of(text_of(path()))[0], "before");
}

TEST_F(AccessLogFile, AfterARotationLinesGoToTheNewFile) {
  auto log = open(path());
  log->write(exchange("/old"));
  fs::rename(path(), path("rotated"));
  log->reopen();
  EXPECT_TRUE(wait_for([&] { return fs::exists(path()); }));
  log->write(exchange("/new"));
  log.reset();
  EXPECT_NE(text_of(path("rotated")).find("/old"), std::string::npos);
  EXPECT_NE(text_of(path()).find("/new"), std::string::npos);
}

TEST_F(AccessLogFile, WhenItCannotBeOpenedAgainTheOldFileStays) {
  auto log = open(path());
  fs::rename(path(), path("rotated"));
  fs::create_directory(path());
  log->reopen();
  log->write(exchange("/later"));
  log.reset();
  EXPECT_NE(text_of(path("rotated")).find("/later"), std::string::npos);
}

TEST_F(AccessLogFile, WhatCannotBeOpenedIsRefusedWithASentence) {
  for (const std::string& where : {path("no/such/folder"), folder_.string(), std::string()}) {
    const auto log = AccessLog::open(where, clock_);
    ASSERT_FALSE(log);
    EXPECT_TRUE(log.error().context.starts_with("cannot open the access log " + where + ": ")) << log.error().context;
  }
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_FALSE(AccessLog::open(path("pipe"), clock_)) << "a pipe that nobody reads does not keep us waiting";
}

TEST_F(AccessLogFile, AReaderThatNeverReadsHoldsUpNobodyAndEveryLineIsAccountedFor) {
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  Fd reader(::open(path().c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  ASSERT_TRUE(reader);
  auto log = open(path());
  constexpr std::uint64_t sent = 20'000;  // some 4 MB: pipe and both buffers hold less than 1 MB
  for (std::uint64_t i = 0; i < sent; ++i) log->write(exchange());
  EXPECT_GT(log->dropped(), sent / 2);
  EXPECT_LT(log->dropped(), sent);
  log.reset();  // returns though its thread is stuck

  std::string text;
  std::vector<char> piece(65536);
  for (pollfd wait{reader.get(), POLLIN, 0}; ::poll(&wait, 1, std::chrono::milliseconds(patience).count()) == 1;) {
    const ssize_t got = ::read(reader.get(), piece.data(), piece.size());
    if (got <= 0) break;  // the thread has ended and closed it
    text.append(piece.data(), static_cast<std::size_t>(got));
  }
  const auto lines = lines_of(text);
  const auto requests = static_cast<std::uint64_t>(
      std::ranges::count_if(lines, [](const std::string& line) { return line.find("\"id\"") != std::string::npos; }));
  EXPECT_EQ(requests + told(lines), sent);
  EXPECT_GT(told(lines), 0u);
}

TEST_F(AccessLogFile, AReaderThatGoesAwayCostsLinesAndNothingElse) {
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  Fd reader(::open(path().c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  auto log = open(path());
  reader.reset();
  for (int i = 0; i < 3; ++i) log->write(exchange());
  EXPECT_TRUE(wait_for([&] { return log->dropped() == 3; }));
}

TEST_F(AccessLogFile, AFullDiskCostsLinesAndNothingElse) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "NOT RUN: there is no /dev/full";
  auto log = open("/dev/full");
  for (int i = 0; i < 100; ++i) log->write(exchange());
  EXPECT_TRUE(wait_for([&] { return log->dropped() == 100; }));
  log->write(exchange());
  EXPECT_TRUE(wait_for([&] { return log->dropped() == 101; }));
}

// Beyond a size limit the kernel writes what still fits, as on a disk that fills up.
struct FileSizeLimit {
  rlimit before{};
  explicit FileSizeLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before);
    const rlimit limit{bytes, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before); }
};

TEST_F(AccessLogFile, ALineThatWasCutByAFullDiskIsNotGluedToTheNextOneAndAllThatIsMissingIsTold) {
  auto log = open(path());
  {
    const FileSizeLimit limit(1000);
    for (int i = 0; i < 20; ++i) log->write(exchange());
    ASSERT_TRUE(wait_for([&] { return log->dropped() > 0; }));
    const std::uint64_t lost = log->dropped();
    log->write(exchange());  // with it goes what was to be told
    ASSERT_TRUE(wait_for([&] { return log->dropped() > lost; }));
  }
  log->write(exchange("/after"));
  const std::uint64_t lost = log->dropped();
  log.reset();
  const auto lines = lines_of(text_of(path()));
  const auto whole = static_cast<std::uint64_t>(std::ranges::count_if(
      lines, [](const std::string& line) { return line.starts_with("{") && line.ends_with("}"); }));
  EXPECT_EQ(lines.size() - whole, 1u) << "the cut one";
  EXPECT_EQ(told(lines), lost);
  EXPECT_EQ(whole, 22 - lost + 1) << "those that fitted, the one after, and what was told";
  EXPECT_TRUE(std::ranges::any_of(lines, [](const std::string& line) {
    return line.starts_with("{\"time\"") && line.find("\"target\":\"/after\"") != std::string::npos;
  }));
}

}  // namespace
}  // namespace gputach
