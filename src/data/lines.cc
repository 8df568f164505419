#include "data/lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "data/text_guard.h"
#include "image/load.h"

namespace yolov3 {
namespace {

constexpr uint64_t kMaxLinesBytes = 64 << 20;
constexpr int64_t kMaxLines = 5'000'000;            // of that size they would be 13 bytes long
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

}  // namespace

std::vector<StatedPicture> parse_lines(std::string_view text, const std::filesystem::path& path) {
  check_is_text(text, path.string());
  check(std::count(text.begin(), text.end(), '\n') <= kMaxLines, "{}: more than {} lines; is this the right file?",
        path.string(), kMaxLines);
  std::vector<StatedPicture> pictures;
  int64_t number = 0, unreadable = 0;
  for (const std::string_view raw : split_lines(text)) {
    ++number;
    const std::string_view line = trim(raw);
    if (line.empty()) continue;
    pictures.push_back(parse_line(line, path, number));
    for (const StatedBox& box : pictures.back().boxes) unreadable += box.unreadable;
    check(unreadable <= kMaxUnreadableBoxes,
          "{}:{}: more than {} boxes that are not five numbers; is this the right file?", path.string(), number,
          kMaxUnreadableBoxes);
  }
  return pictures;
}

std::vector<StatedPicture> read_lines(const std::filesystem::path& path) {
  return parse_lines(read_text(path, kMaxLinesBytes), path);
}

}  // namespace yolov3
