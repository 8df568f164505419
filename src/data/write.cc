#include "data/write.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "data/parallel_each.h"
#include "data/synthetic.h"
#include "image/save.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr uint64_t kMaxImageBytes = uint64_t{1} << 30;

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string image_name(const Example& example, const std::string& split, size_t index, const WriteOptions& options) {
  const std::string extension = example.synthetic ? options.extension : to_lower(example.image.extension().string());
  return fmt::format("images/{}/{:06}{}", split, index, extension);
}

// {} prints the shortest digits that read back as the same float.
std::string line_of(const Example& example, const std::string& image) {
  std::string line = image;
  for (const Annotation& object : example.objects) {
    const Box& box = object.box;
    line += fmt::format(" {},{},{},{},{}", box.x0, box.y0, box.x1, box.y1, object.class_id);
  }
  return line + "\n";
}

void write_split(const fs::path& folder, const std::string& split, const Dataset& dataset,
                 const WriteOptions& options) {
  make_directories(folder / "images" / split);
  std::string lines;
  for (size_t i = 0; i < dataset.examples.size(); ++i) {
    lines += line_of(dataset.examples[i], image_name(dataset.examples[i], split, i, options));
  }
  parallel_each(static_cast<int64_t>(dataset.examples.size()), options.threads, "writing " + split, [&](int64_t i) {
    const Example& example = dataset.examples[static_cast<size_t>(i)];
    const fs::path path = folder / image_name(example, split, static_cast<size_t>(i), options);
    if (example.synthetic) {
      save_image(path, draw_synthetic(*example.synthetic, nullptr), options.jpeg_quality);
    } else {
      write_file(path, read_file(example.image, kMaxImageBytes));
    }
  });
  write_file(folder / (split + ".txt"), lines);
}

void warn_of_losses(const Dataset& dataset, const std::string& split) {
  int64_t lost = 0;
  for (const Example& example : dataset.examples) {
    for (const Annotation& object : example.objects) {
      lost += object.difficult || object.crowd || object.area != object.box.area();
    }
  }
  if (lost > 0) {
    log_warning("{}: annotation lines cannot say \"difficult\", \"crowd\" or an area of its own: lost for {} boxes",
                split, lost);
  }
  if (!dataset.category_ids.empty()) log_warning("{}: annotation lines cannot keep category ids", split);
}

}  // namespace

void write_lines_dataset(const fs::path& folder, const std::map<std::string, Dataset>& splits,
                         const WriteOptions& options) {
  check(!splits.empty(), "{}: expected at least one split to write", folder.string());
  const std::vector<std::string>& names = splits.begin()->second.names;
  for (const auto& [split, dataset] : splits) {
    check(split == "train" || split == "val" || split == "test", "{}: expected the split train, val or test, found {}",
          folder.string(), split);
    check(dataset.names == names, "{}: the splits have different class names", folder.string());
  }
  make_directories(folder);
  std::error_code reason;
  check(fs::is_empty(folder, reason) && !reason,
        "{}: expected a new or empty folder, this one holds something; choose another", folder.string());

  std::string text;
  for (const std::string& name : names) text += name + "\n";
  write_file(folder / "names.txt", text);

  std::string yaml = "path: .\n";
  for (const auto& [split, dataset] : splits) {
    warn_of_losses(dataset, split);
    write_split(folder, split, dataset, options);
    yaml += fmt::format("{0}: {0}.txt\n", split);
  }
  yaml += fmt::format("nc: {}\nnames:\n", names.size());
  for (size_t i = 0; i < names.size(); ++i) yaml += fmt::format("  {}: {}\n", i, quoted(names[i]));
  write_file(folder / "data.yaml", yaml);  // last: a folder that has one is whole
}

}  // namespace yolov3
