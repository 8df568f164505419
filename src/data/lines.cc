#include "data/lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "data/files_below.h"
#include "data/text_guard.h"
#include "image/load.h"

namespace yolov3 {
namespace {

constexpr size_t kMaxLineBytes = 64 << 20;
constexpr int64_t kMaxLines = 5'000'000;
constexpr int64_t kMaxUnreadableBoxes = 1'000'000;  // 2 bytes of the file are enough for one
constexpr size_t kMaxPathBytes = 4096;
constexpr size_t kMaxWordBytes = 256;  // of five numbers
constexpr std::string_view kBlanks = " \t";

std::optional<StatedBox> parse_box(std::string_view word) {
  if (word.size() > kMaxWordBytes) return std::nullopt;
  const std::vector<std::string_view> parts = split(word, ',');
  if (parts.size() != 5) return std::nullopt;
  const auto x0 = parse_number(parts[0]), y0 = parse_number(parts[1]);
  const auto x1 = parse_number(parts[2]), y1 = parse_number(parts[3]);
  const auto class_id = parse_integer(parts[4]);
  if (!x0 || !y0 || !x1 || !y1 || !class_id) return std::nullopt;
  StatedBox box;
  box.x0 = *x0, box.y0 = *y0, box.x1 = *x1, box.y1 = *y1, box.class_id = *class_id;
  return box;
}

StatedBox unreadable_box(std::string_view word) {
  StatedBox box;
  box.unreadable = true;
  box.problem = fmt::format("expected x0,y0,x1,y1,class in numbers, found \"{}\"", shown(word, 60));
  return box;
}

// Takes the last word off `rest`; the path keeps the blanks inside it.
std::string_view take_last_word(std::string_view& rest) {
  const size_t blank = rest.find_last_of(kBlanks);
  const std::string_view word = blank == std::string_view::npos ? rest : rest.substr(blank + 1);
  rest = trim(rest.substr(0, rest.size() - word.size()));
  return word;
}

// Where the path ends: after the last word that ends like an image file; the whole text when there is none.
size_t path_length(std::string_view text) {
  for (size_t end = text.size(); end != std::string_view::npos && end > 0;) {
    const std::string_view head = trim(text.substr(0, end));
    const size_t blank = head.find_last_of(kBlanks);
    const std::string_view last = blank == std::string_view::npos ? head : head.substr(blank + 1);
    if (has_image_extension(std::string(last))) return head.size();
    end = blank;
  }
  return text.size();
}

bool has_room(const StatedPicture& picture) { return picture.boxes.size() <= kMaxBoxesOfAPicture; }

// Every byte is looked at a fixed number of times, however long the path and however many the boxes.
StatedPicture parse_line(std::string_view line, const std::filesystem::path& file, int64_t number) {
  StatedPicture picture;
  picture.file = file.string();
  picture.line = number;
  const auto unusable = [&](const char* reason, std::string detail) {
    picture.defect = Defect{reason, picture.origin(), std::move(detail), true, false};
    return std::move(picture);
  };
  std::string_view rest = line;
  while (has_room(picture)) {
    std::string_view shorter = rest;
    std::optional<StatedBox> box = parse_box(take_last_word(shorter));
    if (!box || shorter.empty()) break;  // the first word is the path, whatever it looks like
    picture.boxes.push_back(std::move(*box));
    rest = shorter;
  }
  const size_t length = path_length(rest);
  for (std::string_view broken = trim(rest.substr(length)); has_room(picture) && !broken.empty();) {
    const std::string_view word = take_last_word(broken);
    std::optional<StatedBox> box = parse_box(word);
    picture.boxes.push_back(box ? std::move(*box) : unreadable_box(word));
  }
  if (!has_room(picture)) return unusable("too many boxes", fmt::format("more than {} boxes", kMaxBoxesOfAPicture));
  std::reverse(picture.boxes.begin(), picture.boxes.end());
  for (StatedBox& box : picture.boxes) box.line = number;
  if (length > kMaxPathBytes) {
    return unusable("unreadable path", fmt::format("\"{}\" has {} bytes, expected at most {}",
                                                   shown(rest.substr(0, length), 60), length, kMaxPathBytes));
  }
  picture.image = resolve_beside(file, std::string(rest.substr(0, length)));
  return picture;
}

// Takes lines one after the other.
class LineParser {
 public:
  explicit LineParser(const std::filesystem::path& path) : path_(path) {}

  void take(std::string_view raw) {
    ++number_;
    const std::string_view line = trim(number_ == 1 ? without_bom(raw) : raw);
    if (line.empty()) return;
    check_is_text(line, path_.string());
    pictures_.push_back(parse_line(line, path_, number_));
    for (const StatedBox& box : pictures_.back().boxes) unreadable_ += box.unreadable;
    check(unreadable_ <= kMaxUnreadableBoxes,
          "{}:{}: more than {} boxes that are not five numbers; is this the right file?", path_.string(), number_,
          kMaxUnreadableBoxes);
  }

  std::vector<StatedPicture> finish() && { return std::move(pictures_); }

 private:
  const std::filesystem::path& path_;
  int64_t number_ = 0, unreadable_ = 0;
  std::vector<StatedPicture> pictures_;
};

void check_line_count(int64_t lines, const std::filesystem::path& path) {
  check(lines <= kMaxLines, "{}: more than {} lines; is this the right file?", path.string(), kMaxLines);
}

// Calls take(block) for one block of the file after the other.
template <class Take>
void each_block(const std::filesystem::path& path, Take&& take) {
  std::error_code reason;
  check(std::filesystem::is_regular_file(path, reason), "{}: expected a file of annotation lines", path.string());
  std::ifstream in(path, std::ios::binary);
  check(in.good(), "{}: cannot open: {}", path.string(), std::strerror(errno));
  std::string block(size_t{1} << 20, '\0');
  while (in.read(block.data(), static_cast<std::streamsize>(block.size())), in.gcount() > 0) {
    take(std::string_view(block).substr(0, static_cast<size_t>(in.gcount())));
  }
  check(!in.bad(), "{}: cannot read: {}", path.string(), std::strerror(errno));
}

// Calls take(line) for each line; only a block and a line are in memory.
template <class Take>
void each_line(const std::filesystem::path& path, Take&& take) {
  std::string line;
  int64_t number = 1;
  each_block(path, [&](std::string_view rest) {
    for (size_t end; (end = rest.find('\n')) != std::string_view::npos; rest.remove_prefix(end + 1), ++number) {
      take(line.append(rest.substr(0, end)));
      line.clear();
    }
    line.append(rest);
    check(line.size() <= kMaxLineBytes, "{}:{}: a line of over {} bytes; is this the right file?", path.string(),
          number, kMaxLineBytes);
  });
  if (!line.empty()) take(line);
}

}  // namespace

std::vector<StatedPicture> parse_lines(std::string_view text, const std::filesystem::path& path) {
  check_is_text(text, path.string());
  check_line_count(std::count(text.begin(), text.end(), '\n'), path);
  LineParser parser(path);
  for (const std::string_view line : split_lines(text)) parser.take(line);
  return std::move(parser).finish();
}

std::vector<StatedPicture> read_lines(const std::filesystem::path& path) {
  int64_t lines = 0;  // counted first: a file of nothing but short lines would fill the memory before the limit is met
  each_block(path, [&](std::string_view block) { lines += std::count(block.begin(), block.end(), '\n'); });
  check_line_count(lines, path);
  LineParser parser(path);
  each_line(path, [&](std::string_view line) { parser.take(line); });
  std::vector<StatedPicture> pictures = std::move(parser).finish();
  for (StatedPicture& picture : pictures) picture.image = existing_path(picture.image);
  return pictures;
}

}  // namespace yolov3
