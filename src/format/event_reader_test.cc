#include "format/event_reader.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <utility>

#include "base/files.h"
#include "base/rng.h"
#include "format/events.h"
#include "format/test_files.h"

namespace yolov3 {
namespace {

using testing::TemporaryFolder;

struct Read {
  int64_t step;
  std::string tag;
  float value;
  bool operator==(const Read&) const = default;
};

std::vector<Read> read_new(EventReader& reader) {
  std::vector<Read> points;
  reader.read([&](const ScalarPoint& p) { points.push_back({p.step, std::string(p.tag), p.value}); });
  return points;
}

void append(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::app) << bytes;
}

TEST(EventReader, EventByHand) {
  // wall_time 1.5; step 300; a summary of lr = 0.5, of a value without a number, and of a second one.
  const std::string event(
      "\x09\x00\x00\x00\x00\x00\x00\xf8\x3f\x10\xac\x02"
      "\x2a\x18"
      "\x0a\x09\x0a\x02lr\x15\x00\x00\x00\x3f"
      "\x0a\x03\x0a\x01x"
      "\x0a\x06\x15\x00\x00\x80\x3f\x10",  // its last field is cut short
      9 + 3 + 2 + 11 + 5 + 8);
  const std::vector<ScalarPoint> points = scalars_of_event(event);
  ASSERT_EQ(points.size(), 2u);
  EXPECT_EQ(points[0].step, 300);
  EXPECT_EQ(points[0].tag, "lr");
  EXPECT_EQ(points[0].value, 0.5f);
  EXPECT_EQ(points[1].tag, "");
  EXPECT_EQ(points[1].value, 1.0f);
}

TEST(EventReader, TheStepMayComeAfterTheSummary) {
  const std::string event(
      "\x2a\x0a\x0a\x08\x0a\x01"
      "a\x15\x00\x00\x00\x3f\x10\x07",
      14);
  ASSERT_EQ(scalars_of_event(event).size(), 1u);
  EXPECT_EQ(scalars_of_event(event)[0].step, 7);
}

TEST(EventReader, ReadsWhatTheWriterWrites) {
  const TemporaryFolder folder;
  EventWriter writer(folder.path());
  writer.scalars(1, {{"lr", 0.5f}, {"loss/total_loss", 3.0f}});
  writer.flush();
  EventReader reader(writer.path());
  EXPECT_EQ(read_new(reader), (std::vector<Read>{{1, "lr", 0.5f}, {1, "loss/total_loss", 3.0f}}));
  EXPECT_TRUE(read_new(reader).empty());
  writer.scalars(2, {{"lr", 0.25f}});
  EXPECT_TRUE(read_new(reader).empty()) << "not flushed yet";
  writer.flush();
  EXPECT_EQ(read_new(reader), (std::vector<Read>{{2, "lr", 0.25f}}));
  EXPECT_EQ(reader.damage(), "");
}

// A reader that looks after every byte sees each record once, when it is whole.
TEST(EventReader, AFileThatGrowsByteByByte) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "events";
  EventReader reader(path);
  EXPECT_TRUE(read_new(reader).empty()) << "no file yet";
  const std::string first = frame_record(encode_scalar_event(0, 1, {{"a", 1.0f}}));
  const std::string second = frame_record(encode_scalar_event(0, 2, {{"a", 2.0f}}));
  std::vector<size_t> seen_at;
  size_t written = 0;
  for (const char c : first + second) {
    append(path, std::string(1, c));
    ++written;
    if (!read_new(reader).empty()) seen_at.push_back(written);
  }
  EXPECT_EQ(seen_at, (std::vector<size_t>{first.size(), first.size() + second.size()}));
  EXPECT_EQ(reader.damage(), "");
}

TEST(EventReader, DamageEndsTheReadingAndIsSaid) {
  const TemporaryFolder folder;
  const std::string good = frame_record(encode_scalar_event(0, 1, {{"a", 1.0f}}));
  const std::string more = frame_record(encode_scalar_event(0, 2, {{"a", 2.0f}}));
  std::string damaged_data = more, damaged_length = more;
  damaged_data[14] ^= 1;
  damaged_length[0] ^= 1;
  for (const std::string& bad : {damaged_data, damaged_length, std::string(40, '\0'), std::string(40, '\xff')}) {
    const std::filesystem::path path = folder / ("events" + std::to_string(bad[0]) + std::to_string(bad[14]));
    write_file(path, good + bad + good);
    EventReader reader(path);
    EXPECT_EQ(read_new(reader), (std::vector<Read>{{1, "a", 1.0f}}));
    EXPECT_NE(reader.damage().find(fmt::format("byte {}", good.size())), std::string::npos) << reader.damage();
    append(path, good);
    EXPECT_TRUE(read_new(reader).empty());
  }
}

TEST(EventReader, AFileThatIsTakenAwayHasNothingNew) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "events";
  write_file(path, frame_record(encode_scalar_event(0, 1, {{"a", 1.0f}})));
  EventReader reader(path);
  EXPECT_EQ(read_new(reader).size(), 1u);
  std::filesystem::remove(path);
  EXPECT_TRUE(read_new(reader).empty());
  EventReader folder_reader(folder.path());
  EXPECT_TRUE(read_new(folder_reader).empty());
}

// Whatever an event holds, nothing is read outside of it (the sanitizers watch).
TEST(EventReader, RandomAndMutatedEventsAreSafe) {
  Rng rng(1);
  const std::string sound = encode_scalar_event(1.5, 300, {{"loss/total_loss", 0.5f}, {"lr", 0.25f}});
  size_t found = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string event = sound;
    if (i % 2 == 0) {
      event.assign(static_cast<size_t>(rng.integer(0, 60)), '\0');
      for (char& c : event) c = static_cast<char>(rng.next());
    } else {
      for (int n = 0; n < 3; ++n)
        event[static_cast<size_t>(rng.integer(0, static_cast<int64_t>(event.size()) - 1))] =
            static_cast<char>(rng.next());
      event.resize(static_cast<size_t>(rng.integer(0, static_cast<int64_t>(event.size()))));
    }
    for (const ScalarPoint& point : scalars_of_event(event)) found += 1 + point.tag.size();
  }
  EXPECT_GT(found, 100u);  // some of them still have scalars
}

}  // namespace
}  // namespace yolov3
