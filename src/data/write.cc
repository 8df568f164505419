#include "data/write.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <random>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "base/usage.h"
#include "data/files_below.h"
#include "data/new_file.h"
#include "data/parallel_each.h"
#include "data/synthetic.h"
#include "data/text_guard.h"
#include "data/write_formats.h"
#include "image/jpeg.h"
#include "image/load.h"
#include "image/png.h"
#include "image/size.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr uint64_t kMaxImageBytes = uint64_t{1} << 30;
const std::vector<std::string> kFormats = {"lines", "voc", "coco", "yolo"};

[[noreturn]] void fail_to_create(const fs::path& above) {
  const int reason = errno;
  fail("{}: cannot create a folder here: {}", above.string(), std::strerror(reason));
}

// A folder under construction beside its final place, removed unless it is finished.
class Staging {
 public:
  explicit Staging(const fs::path& folder) {
    check_new_folder(folder);
    std::error_code reason;
    place_ = fs::exists(folder, reason) ? fs::canonical(folder) : fs::absolute(folder).lexically_normal();
    if (!place_.has_filename()) place_ = place_.parent_path();
    make_directories(place_.parent_path());
    staging_ = make_unique_folder(place_.parent_path());
  }
  ~Staging() {
    std::error_code ignored;
    if (!staging_.empty()) fs::remove_all(staging_, ignored);
  }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  const fs::path& path() const { return staging_; }

  void finish() {
    const int descriptor = ::open(staging_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check(descriptor >= 0, "{}: {}", staging_.string(), std::strerror(errno));
    const bool synced = ::syncfs(descriptor) == 0;
    const int problem = errno;
    ::close(descriptor);
    check(synced, "{}: cannot write to the disk: {}", place_.string(), std::strerror(problem));
    std::error_code reason;
    fs::rename(staging_, place_, reason);
    check(!reason, "{}: cannot put the finished folder in place: {}", place_.string(), reason.message());
    staging_.clear();
  }

 private:
  // A name that nobody else has, on other machines with the same disk either; short, since that of the place may be long.
  static fs::path make_unique_folder(const fs::path& above) {
    std::random_device random;
    for (int attempt = 0; attempt < 100; ++attempt) {
      fs::path folder = above / fmt::format(".yolov3-unfinished-{}-{:08x}", ::getpid(), random());
      if (::mkdir(folder.c_str(), 0777) == 0) return folder;
      if (errno != EEXIST) break;
    }
    fail_to_create(above);
  }

  fs::path place_, staging_;
};

// The file's own name where it is plain and free. Stems are unique: labels are named by them.
class Names {
 public:
  std::string name_of(const Example& example, size_t index, const WriteOptions& options) {
    const bool plain = is_plain(example.image.stem().string()) && !example.synthetic;
    const std::string base = plain ? example.image.stem().string() : fmt::format("{:06}", index);
    std::string stem = base;
    int& number = numbers_[to_lower(base)];
    while (!taken_.insert(to_lower(stem)).second) {
      number = std::max(2, number + 1);
      stem = fmt::format("{}_{}", base, number);
    }
    return stem + (example.synthetic ? options.extension : extension_of(example.image));
  }

 private:
  static bool is_plain(const std::string& stem) {
    return !stem.empty() && trim(stem) == stem && shown(stem, 4096) == stem && !is_shadow_of_macos(stem);
  }

  static std::string extension_of(const fs::path& image) {
    if (has_image_extension(image)) return image.extension().string();
    std::ifstream in(image, std::ios::binary);
    return in.get() == 0x89 ? ".png" : ".jpg";
  }

  std::set<std::string> taken_;
  std::unordered_map<std::string, int> numbers_;  // the last of a stem: each is tried once
};

// The size of the picture is asked of the file where the data set does not know it.
void find_sizes(std::vector<PlannedPicture>& pictures, int threads) {
  parallel_each(static_cast<int64_t>(pictures.size()), threads, "", [&](int64_t i) {
    PlannedPicture& picture = pictures[static_cast<size_t>(i)];
    if (picture.width > 0 && picture.height > 0) return;
    const PictureSize size = read_picture_size(picture.example->image);
    picture.width = size.width;
    picture.height = size.height;
  });
}

// Nothing that names the picture elsewhere finds it again.
void lose_name(const Example& example, const std::string& name, std::vector<Loss>& losses) {
  const std::string own = example.image.filename().string();
  if (example.synthetic || own == name) return;
  losses.push_back({"name of the picture", example.origin, false, fmt::format("{} is now {}", shown(own), name)});
}

// VOC keeps the pictures of all splits in one folder.
std::vector<PlannedSplit> plan_splits(DataFormat format, const std::map<std::string, Dataset>& splits,
                                      const WriteOptions& options, std::vector<Loss>& losses) {
  std::vector<PlannedSplit> planned;
  Names shared;
  for (const auto& [split, dataset] : splits) {
    Names own;
    Names& names = format == DataFormat::voc ? shared : own;
    PlannedSplit plan{split, &dataset, {}};
    for (size_t i = 0; i < dataset.examples.size(); ++i) {
      const Example& example = dataset.examples[i];
      plan.pictures.push_back({&example, names.name_of(example, i, options), example.width, example.height});
      lose_name(example, plan.pictures.back().name, losses);
    }
    if (format != DataFormat::lines) find_sizes(plan.pictures, options.threads);
    planned.push_back(std::move(plan));
  }
  return planned;
}

void write_pictures(const fs::path& folder, const PlannedSplit& split, const WriteOptions& options) {
  make_directories(folder);
  parallel_each(static_cast<int64_t>(split.pictures.size()), options.threads, "writing " + split.split, [&](int64_t i) {
    const PlannedPicture& picture = split.pictures[static_cast<size_t>(i)];
    const fs::path path = folder / picture.name;
    if (picture.example->synthetic) {
      const Image image = draw_synthetic(*picture.example->synthetic, nullptr);
      write_new_file(path, path.extension() == ".png" ? encode_png(image) : encode_jpeg(image, options.jpeg_quality));
    } else {
      write_new_file(path, read_file(picture.example->image, kMaxImageBytes));
    }
  });
}

void check_splits(const fs::path& folder, DataFormat format, const std::map<std::string, Dataset>& splits) {
  check(!splits.empty(), "{}: expected at least one split to write", folder.string());
  const std::vector<std::string>& names = splits.begin()->second.names;
  for (const auto& [split, dataset] : splits) {
    check(format == DataFormat::voc || split == "train" || split == "val" || split == "test",
          "{}: expected splits called train, val or test, found {}; a data.yaml can call them so (train: FOLDER), and "
          "VOC takes any name",
          folder.string(), split);
    check(dataset.names == names, "{}: the splits have different class names", folder.string());
  }
  const std::set<std::string> unique(names.begin(), names.end());
  check(unique.size() == names.size() || format == DataFormat::lines || format == DataFormat::yolo,
        "{}: a class name stands twice; {} tells classes by name", folder.string(), to_string(format));
}

// What is lost of the data set as a whole.
void lose_numbers(DataFormat format, const std::map<std::string, Dataset>& splits, std::vector<Loss>& losses) {
  for (const auto& [split, dataset] : splits) {
    if (format != DataFormat::coco && !dataset.category_ids.empty()) {
      losses.push_back({"ids of images and categories", split, false, "only COCO files number them"});
    }
  }
  if (format != DataFormat::voc) return;
  std::set<std::string> found;  // a VOC folder's classes are the names that stand in it, sorted
  const std::vector<std::string>& names = splits.begin()->second.names;
  for (const auto& [split, dataset] : splits) {
    for (const Example& example : dataset.examples) {
      for (const Annotation& object : example.objects) found.insert(names[static_cast<size_t>(object.class_id)]);
    }
  }
  if (std::vector<std::string>(found.begin(), found.end()) == names) return;
  losses.push_back({"order of the classes, or some without objects", "names.txt", false,
                    "the names that stand in a VOC folder are its classes; --names names.txt keeps these"});
}

void write_annotations(const fs::path& folder, DataFormat format, const PlannedSplit& split,
                       std::vector<Loss>& losses) {
  switch (format) {
    case DataFormat::lines: return write_lines(folder, split, losses);
    case DataFormat::voc: return write_voc(folder, split, losses);
    case DataFormat::coco: return write_coco(folder, split, losses);
    case DataFormat::yolo: return write_yolo(folder, split, losses);
  }
}

}  // namespace

DataFormat parse_data_format(const std::string& text) {
  for (size_t i = 0; i < kFormats.size(); ++i) {
    if (text == kFormats[i]) return static_cast<DataFormat>(i);
  }
  fail_usage("expected one of {}, found \"{}\"", fmt::join(kFormats, ", "), shown(text));
}

std::string to_string(DataFormat format) { return kFormats[static_cast<size_t>(format)]; }

fs::path written_data(const fs::path& folder, DataFormat format) {
  return format == DataFormat::voc ? folder : folder / "data.yaml";
}

void check_new_folder(const fs::path& folder) {
  std::error_code reason;
  const fs::file_status status = fs::status(folder, reason);
  if (!fs::exists(status)) {
    check(!fs::is_symlink(fs::symlink_status(folder, reason)), "{}: a symbolic link that leads nowhere; choose another",
          folder.string());
    fs::path above = fs::absolute(folder).lexically_normal();
    while (above != above.root_path() && !fs::exists(above, reason)) above = above.parent_path();
    check(fs::is_directory(above, reason), "{}: expected a folder, found a file", above.string());
    if (::access(above.c_str(), W_OK | X_OK) != 0) fail_to_create(above);
    return;
  }
  check(fs::is_directory(status), "{}: expected a new or empty folder, found a file; choose another", folder.string());
  const bool empty = fs::is_empty(folder, reason);
  check(!reason, "{}: cannot list the folder: {}", folder.string(), reason.message());
  check(empty, "{}: expected a new or empty folder, this one holds something; choose another", folder.string());
}

std::vector<Loss> write_dataset(const fs::path& folder, DataFormat format, const std::map<std::string, Dataset>& splits,
                                const WriteOptions& options) {
  check_splits(folder, format, splits);
  const std::vector<std::string>& names = splits.begin()->second.names;
  Staging staging(folder);
  std::vector<Loss> losses;
  lose_numbers(format, splits, losses);
  std::vector<std::string> split_names;
  for (const PlannedSplit& split : plan_splits(format, splits, options, losses)) {
    write_annotations(staging.path(), format, split, losses);
    write_pictures(staging.path() / picture_folder(format, split.split), split, options);
    split_names.push_back(split.split);
  }
  std::string list;
  for (const std::string& name : names) list += name + "\n";
  if (format == DataFormat::lines || format == DataFormat::voc) write_new_file(staging.path() / "names.txt", list);
  if (format != DataFormat::voc)
    write_new_file(staging.path() / "data.yaml", data_yaml_text(format, split_names, names));
  const std::string lost = options.notes + describe(losses, losses.size());
  if (!lost.empty()) write_new_file(staging.path() / "not-converted.txt", lost);
  staging.finish();
  return losses;
}

std::string describe(const std::vector<Loss>& losses, size_t max_listed) {
  std::map<std::string, int64_t> counts;
  for (const Loss& loss : losses) counts[loss.what + (loss.gone ? " (left out)" : "")] += loss.count;
  std::string text;
  for (const auto& [what, count] : counts) text += fmt::format("  {:>8}  {}\n", count, what);
  const size_t listed = std::min(max_listed, losses.size());
  for (size_t i = 0; i < listed; ++i) {
    const std::string line = fmt::format("{}: {}: {}", losses[i].where, losses[i].what, losses[i].detail);
    text += "  " + shown(line, line.size()) + "\n";  // a file's name may hold a line break
  }
  if (listed < losses.size()) text += fmt::format("  ... and {} more\n", losses.size() - listed);
  return text;
}

}  // namespace yolov3
