#include "format/darknet_weights.h"

#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.h"
#include "base/files.h"
#include "format/choose_network.h"
#include "format/sealed_file.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

static_assert(std::endian::native == std::endian::little, "the file's numbers are little-endian");

constexpr uint64_t kOldHeader = 16, kHeader = 20;  // bytes: three int32 and `seen` as int32 or int64
constexpr int32_t kVersions = 1000;                // Darknet's own bound; beyond it are files of its early days

struct Found {
  fs::path path;
  uint64_t size = 0, header = kOldHeader;
  int64_t numbers = 0;
};

// A web page in place of the file is what most failed downloads leave.
void check_kind(std::string_view head, const fs::path& path) {
  int32_t version[3] = {-1, -1, -1};
  if (head.size() >= sizeof version) std::memcpy(version, head.data(), sizeof version);
  const bool plausible = std::ranges::all_of(version, [](int32_t part) { return part >= 0 && part < kVersions; }) &&
                         version[0] + version[1] + version[2] > 0;
  if (plausible) return;
  std::string kind = describe_foreign(head);
  const bool text = std::ranges::all_of(head, [](char c) { return (c >= ' ' && c < 127) || (c >= '\t' && c <= '\r'); });
  if (kind.empty() && text) {
    const std::string_view line = head.substr(0, std::min<size_t>(head.find_first_of("\r\n"), 60));
    kind = fmt::format("a text that begins with \"{}\": did the download fail?", line);
  } else if (kind.empty() && head.starts_with("\x89HDF")) {
    kind = "an HDF5 file; this program's own models are given by their .h5 name";
  } else if (kind.empty() && head.size() >= sizeof version) {
    kind = fmt::format("a file of something else: its version would be {}.{}.{}", version[0], version[1], version[2]);
  }
  fail("{}: no Darknet .weights{}{}", path.string(), kind.empty() ? "" : ": it is ", kind);
}

Found look_at(int descriptor, const fs::path& path, DarknetWeights& out) {
  struct stat status {};
  check(::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode),
        "{}: expected a Darknet .weights file, found a folder, device or pipe", path.string());
  Found found{path, static_cast<uint64_t>(status.st_size)};
  check(found.size > 0, "{}: the file is empty; expected Darknet .weights", path.string());
  std::string head(static_cast<size_t>(std::min<uint64_t>(found.size, 512)), '\0');
  read_at(descriptor, 0, head.data(), head.size(), path);
  check_kind(head, path);
  int32_t version[3];
  std::memcpy(version, head.data(), sizeof version);
  out.major = version[0], out.minor = version[1], out.revision = version[2];
  if (out.major * 10 + out.minor >= 2) found.header = kHeader;
  check(found.size > found.header, "{}: ends after {} bytes, within the header or right behind it", path.string(),
        found.size);
  if (found.header == kHeader) {
    std::memcpy(&out.seen, head.data() + sizeof version, sizeof out.seen);
  } else {
    uint32_t seen = 0;
    std::memcpy(&seen, head.data() + sizeof version, sizeof seen);
    out.seen = seen;
  }
  const uint64_t bytes = found.size - found.header;
  check(bytes % sizeof(float) == 0, "{}: {} bytes follow the header, no multiple of 4: the file was cut or changed",
        path.string(), bytes);
  found.numbers = static_cast<int64_t>(bytes / sizeof(float));
  return found;
}

}  // namespace

int64_t count_darknet_numbers(const fs::path& path) {
  const OpenFile file = OpenFile::for_reading(path);
  DarknetWeights ignored;
  return look_at(file.descriptor(), path, ignored).numbers;
}

DarknetWeights load_darknet_weights(const fs::path& path, const NetworkSpec& spec, DarknetPart accepted) {
  const std::vector<ParamSlot> slots = param_slots(spec);
  check(!slots.empty(), "{}: a network without a convolution has no weights to read", path.string());
  const OpenFile file = OpenFile::for_reading(path);
  DarknetWeights out;
  const Found found = look_at(file.descriptor(), path, out);
  const size_t count = whole_slots(slots, found.numbers);
  if (count < slots.size() && (count == 0 || accepted == DarknetPart::whole)) {
    fail_numbers(path, found.numbers, spec);
  }
  uint64_t offset = found.header;
  for (size_t i = 0; i < count; ++i) {
    Tensor& tensor = out.weights.tensors.emplace_back(slots[i].shape);
    const auto bytes = static_cast<size_t>(tensor.size()) * sizeof(float);
    read_at(file.descriptor(), offset, reinterpret_cast<char*>(tensor.data()), bytes, path);
    offset += bytes;
  }
  out.convolutions = slots[count - 1].conv + 1;
  out.all_convolutions = slots.back().conv + 1;
  return out;
}

void save_darknet_weights(const fs::path& path, const NetworkSpec& spec, const Weights& weights,
                          const DarknetSaveOptions& options) {
  check_weights(spec, weights);
  const std::vector<ParamSlot> slots = param_slots(spec);
  const int end = options.layers < 0 ? static_cast<int>(spec.layers.size()) : options.layers;
  check(!slots.empty() && slots[0].layer < end, "{}: no convolution stands before layer {}", path.string(), end);
  AtomicFile file(path);
  const int32_t version[3] = {0, 2, 5};
  file.write({reinterpret_cast<const char*>(version), sizeof version});
  file.write({reinterpret_cast<const char*>(&options.seen), sizeof options.seen});
  for (size_t i = 0; i < slots.size() && slots[i].layer < end; ++i) {
    const Tensor& tensor = weights.tensors[i];
    file.write({reinterpret_cast<const char*>(tensor.data()), static_cast<size_t>(tensor.size()) * sizeof(float)});
  }
  file.commit();
}

}  // namespace yolov3
