#include "format/events.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>

#include "base/checksum.h"
#include "base/files.h"
#include "format/test_files.h"

namespace yolov3 {
namespace {

using testing::error_of;
using testing::TemporaryFolder;

// Bit by bit from the polynomial, so that no table is shared with the code under test.
uint32_t slow_crc32c(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (const char c : bytes) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
  }
  return ~crc;
}

uint32_t unmask(uint32_t masked) {
  const uint32_t rotated = masked - 0xa282ead8u;
  return rotated >> 17 | rotated << 15;
}

template <class T>
T number_at(const std::string& bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

std::vector<std::string> read_records(const std::string& bytes) {
  std::vector<std::string> records;
  size_t at = 0;
  while (at < bytes.size()) {
    if (bytes.size() - at < 16) throw Error("half a record");
    const auto length = number_at<uint64_t>(bytes, at);
    if (slow_crc32c(bytes.substr(at, 8)) != unmask(number_at<uint32_t>(bytes, at + 8))) throw Error("length's CRC");
    if (bytes.size() - at - 16 < length) throw Error("half a record");
    records.push_back(bytes.substr(at + 12, length));
    if (slow_crc32c(records.back()) != unmask(number_at<uint32_t>(bytes, at + 12 + length))) throw Error("data's CRC");
    at += 16 + length;
  }
  return records;
}

TEST(Checksum, PublishedVectors) {  // RFC 3720, B.4
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(slow_crc32c("123456789"), 0xe3069283u);
}

TEST(Events, ScalarEventByHand) {
  const std::string expected(
      "\x09\x00\x00\x00\x00\x00\x00\xf8\x3f"  // 1: double 1.5
      "\x10\xac\x02"                          // 2: varint 300
      "\x2a\x0b"                              // 5: summary of 11 bytes
      "\x0a\x09"                              //   1: value of 9 bytes
      "\x0a\x02lr"                            //     1: tag
      "\x15\x00\x00\x00\x3f",                 //     2: float 0.5
      9 + 3 + 2 + 2 + 4 + 5);
  EXPECT_EQ(encode_scalar_event(1.5, 300, {{"lr", 0.5f}}), expected);
}

TEST(Events, StepZeroIsLeftOutAndZeroValueIsNot) {
  const std::string event = encode_scalar_event(0, 0, {{"a", 0.0f}});
  EXPECT_EQ(event.substr(9), std::string("\x2a\x0a\x0a\x08\x0a\x01"
                                         "a\x15\0\0\0\0",
                                         12));
}

TEST(Events, SessionStartByHand) {
  const std::string expected(
      "\x09\x00\x00\x00\x00\x00\x00\xf8\x3f"  // 1: double 1.5
      "\x10\xac\x02"                          // 2: varint 300
      "\x3a\x02\x08\x01",                     // 7: session_log, its 1 (status): START
      9 + 3 + 4);
  EXPECT_EQ(encode_session_start_event(1.5, 300), expected);
}

TEST(Events, LongTagsNeedLongLengths) {
  const std::string event = encode_scalar_event(0, 1, {{std::string(200, 't'), 1.0f}});
  // value: 3 + 200 + 5 = 208 = 0xd0 0x01; summary: 3 + 208 = 211 = 0xd3 0x01
  EXPECT_EQ(event.substr(11, 9), std::string("\x2a\xd3\x01\x0a\xd0\x01\x0a\xc8\x01", 9));
}

TEST(Events, FramesCarryMaskedChecksums) {
  const std::string frame = frame_record("123456789");
  ASSERT_EQ(frame.size(), 8u + 4 + 9 + 4);
  EXPECT_EQ(number_at<uint64_t>(frame, 0), 9u);
  EXPECT_EQ(unmask(number_at<uint32_t>(frame, 21)), 0xe3069283u);
  EXPECT_EQ(read_records(frame), std::vector<std::string>{"123456789"});
}

TEST(Events, FileHoldsVersionThenScalars) {
  const TemporaryFolder folder;
  EventWriter writer(folder.path());
  EXPECT_TRUE(writer.path().filename().string().starts_with("events.out.tfevents."));
  writer.scalars(1, {{"lr", 0.5f}});
  writer.flush();
  writer.scalars(2, {{"loss/total_loss", 3.0f}, {"loss/giou_loss", 1.0f}});
  EXPECT_EQ(read_records(read_file(writer.path())).size(), 2u);
  writer.flush();
  const auto records = read_records(read_file(writer.path()));
  ASSERT_EQ(records.size(), 3u);
  EXPECT_NE(records[0].find("\x1a\x0d"
                            "brain.Event:2"),
            std::string::npos);
  EXPECT_NE(records[2].find("loss/giou_loss"), std::string::npos);
}

TEST(Events, TwoWritersInOneSecondTakeTwoFiles) {
  const TemporaryFolder folder;
  const EventWriter first(folder.path()), second(folder.path());
  EXPECT_NE(first.path(), second.path());
}

TEST(Events, ProtocReadsThem) {
  if (!testing::have("protoc")) GTEST_SKIP() << "protoc (protobuf-compiler) is not installed";
  const TemporaryFolder folder;
  write_file(folder / "event", encode_scalar_event(1.5, 300, {{"loss/total_loss", 0.5f}, {"lr", 0.0f}}));
  const auto outcome = testing::run("protoc --decode_raw < " + (folder / "event").string());
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.output,
            "1: 0x3ff8000000000000\n2: 300\n5 {\n  1 {\n    1: \"loss/total_loss\"\n    2: 0x3f000000\n  }\n"
            "  1 {\n    1: \"lr\"\n    2: 0x00000000\n  }\n}\n");
}

TEST(Events, PictureByHand) {
  const std::string expected(
      "\x09\x00\x00\x00\x00\x00\x00\xf8\x3f"  // 1: double 1.5
      "\x10\x07"                              // 2: varint 7
      "\x2a\x14"                              // 5: summary of 20 bytes
      "\x0a\x12"                              //   1: value of 18 bytes
      "\x0a\x03pic"                           //     1: tag
      "\x22\x0b"                              //     4: image of 11 bytes
      "\x08\x02\x10\xac\x02\x18\x03"          //       1: height 2, 2: width 300, 3: RGB
      "\x22\x02JJ",                           //       4: the file
      9 + 2 + 2 + 2 + 5 + 2 + 7 + 4);
  EXPECT_EQ(encode_picture_event(1.5, 7, "pic", {300, 2, "JJ"}), expected);
}

TEST(Events, ProtocReadsPrCurves) {
  if (!testing::have("protoc")) GTEST_SKIP() << "protoc (protobuf-compiler) is not installed";
  const TemporaryFolder folder;
  // At scores from 0, 0.5 and 1: 3, 1 and 0 right; 1, 0 and 0 wrong; of four objects.
  write_file(folder / "event", encode_pr_curve_event(1.5, 300, "pr/dog", {{3, 1, 0}, {1, 0, 0}, {1, 3, 4}}));
  const auto outcome = testing::run("protoc --decode_raw < " + (folder / "event").string());
  EXPECT_EQ(outcome.status, 0);
  // What protoc shows of bytes depends on whether they could be a message; the numbers are looked at below.
  const std::string& text = outcome.output;
  EXPECT_NE(
      text.find("2: 300\n5 {\n  1 {\n    1: \"pr/dog\"\n    8 {\n      1: 1\n      2 {\n        2 {\n          1: 6\n"
                "        }\n        2 {\n          1: 3\n        }\n      }\n"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("    9 {\n      1 {\n        1: \"pr_curves\"\n        2 {\n          2: 3\n        }\n      }\n "
                      "     4: 2\n"),
            std::string::npos)
      << text;
}

TEST(Events, PrCurveHasSixRowsOfFloats) {
  const std::string event = encode_pr_curve_event(0, 1, "p", {{3, 1, 0}, {1, 0, 0}, {1, 3, 4}});
  const float rows[6][3] = {{3, 1, 0}, {1, 0, 0}, {0, 0, 0}, {1, 3, 4}, {0.75f, 1, 0}, {0.75f, 0.25f, 0}};
  const size_t at = event.find(std::string(reinterpret_cast<const char*>(rows), sizeof(rows)));
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(event.substr(at - 2, 2), "\x22\x48");  // field 4 of 72 bytes
}

TEST(Events, PicturesAndPrCurvesReachTheFile) {
  const TemporaryFolder folder;
  EventWriter writer(folder.path());
  writer.picture(3, "pictures/a", {2, 1, "jpeg"});
  writer.pr_curve(4, "pr/a", {{1, 0}, {0, 0}, {0, 1}});
  writer.flush();
  const auto records = read_records(read_file(writer.path()));
  ASSERT_EQ(records.size(), 3u);
  EXPECT_NE(records[1].find("pictures/a"), std::string::npos);
  EXPECT_NE(records[2].find("pr_curves"), std::string::npos);
}

TEST(Events, MissingFolderIsAnError) {
  EXPECT_NE(error_of([] { EventWriter writer("/nowhere/at/all"); }).find("cannot create"), std::string::npos);
}

TEST(Events, FullDiskIsReportedAndCaughtUpLater) {
  const TemporaryFolder folder;
  EventWriter writer(folder.path());
  writer.scalars(1, {{"a", 1.0f}});
  writer.flush();
  const auto whole = std::filesystem::file_size(writer.path());
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit full = before;
  full.rlim_cur = whole + 10;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
  writer.scalars(2, {{"a", 2.0f}});
  const std::string message = error_of([&] { writer.flush(); });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_NE(message.find("cannot write"), std::string::npos) << message;
  EXPECT_EQ(std::filesystem::file_size(writer.path()), whole);  // no half record
  writer.flush();
  EXPECT_EQ(read_records(read_file(writer.path())).size(), 3u);
}

}  // namespace
}  // namespace yolov3
