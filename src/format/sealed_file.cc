#include "format/sealed_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/checksum.h"
#include "base/error.h"
#include "base/text.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr std::string_view kMagic = "YOLOV3C1";
constexpr std::string_view kHdf5Signature("\x89HDF\r\n\x1a\n", 8);
constexpr size_t kChunk = 1 << 20;

uint64_t little_endian(const char* bytes, size_t count) {
  uint64_t value = 0;
  for (size_t i = count; i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

void append_little_endian(std::string& bytes, uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(value >> shift));
}

uint32_t checksum_of(int descriptor, uint64_t size, const fs::path& path) {
  std::vector<char> chunk(kChunk);
  uint32_t crc = 0;
  for (uint64_t offset = 0; offset < size; offset += kChunk) {
    const auto length = static_cast<size_t>(std::min<uint64_t>(kChunk, size - offset));
    read_at(descriptor, offset, chunk.data(), length, path);
    crc = crc32c({chunk.data(), length}, crc);
  }
  return crc;
}

// Where the superblock (versions 2 and 3, the ones with 8-byte offsets) says that HDF5's data ends; 0 = not said.
uint64_t announced_end(std::string_view head) {
  if (head.size() < 48 || !head.starts_with(kHdf5Signature)) return 0;
  const bool known = (head[8] == 2 || head[8] == 3) && head[9] == 8;
  return known ? little_endian(head.data() + 28, 8) : 0;
}

bool contains(int descriptor, uint64_t size, std::string_view word, const fs::path& path) {
  std::string window;
  for (uint64_t offset = 0; offset < size; offset += kChunk) {
    const auto length = static_cast<size_t>(std::min<uint64_t>(kChunk, size - offset));
    const size_t kept = std::min(window.size(), word.size() - 1);
    window.erase(0, window.size() - kept);
    window.resize(kept + length);
    read_at(descriptor, offset, window.data() + kept, length, path);
    if (window.find(word) != std::string::npos) return true;
  }
  return false;
}

[[noreturn]] void fail_unsealed(int descriptor, uint64_t size, const fs::path& path) {
  if (contains(descriptor, size, "yolov3_cfg", path)) {
    fail(
        "{}: the checksum at the end is missing or damaged: the file was cut, changed or rewritten by another program; "
        "take a whole copy",
        path.string());
  }
  if (contains(descriptor, size, "layer_names", path) || contains(descriptor, size, "weight_names", path)) {
    fail(
        "{}: a Keras weights file (.h5) of another program: it says neither the network's structure nor its classes, "
        "and has no state of a training run",
        path.string());
  }
  fail("{}: an HDF5 file, but not a model of this program (no checksum at its end)", path.string());
}

}  // namespace

void read_at(int descriptor, uint64_t offset, char* out, size_t size, const fs::path& path) {
  while (size > 0) {
    const ssize_t got = ::pread(descriptor, out, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    check(got >= 0, "{}: cannot read: {}", path.string(), std::strerror(errno));
    check(got > 0, "{}: became shorter while it was read; is another program writing it?", path.string());
    out += got;
    offset += static_cast<uint64_t>(got);
    size -= static_cast<size_t>(got);
  }
}

OpenFile::~OpenFile() { ::close(descriptor_); }

OpenFile OpenFile::for_reading(const fs::path& path) {
  // Not blocking, so that a named pipe without a writer is refused below instead of waited for.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  check(descriptor >= 0, "{}: cannot open: {}", path.string(), std::strerror(errno));
  return OpenFile(descriptor);
}

OpenFile OpenFile::for_writing(const fs::path& existing) {
  const int descriptor = ::open(existing.c_str(), O_RDWR | O_CLOEXEC);
  check(descriptor >= 0, "{}: cannot open for writing: {}", existing.string(), std::strerror(errno));
  return OpenFile(descriptor);
}

void seal(int descriptor, uint64_t size, const fs::path& path) {
  std::string trailer(kMagic);
  append_little_endian(trailer, static_cast<uint32_t>(size));
  append_little_endian(trailer, crc32c(trailer, checksum_of(descriptor, size, path)));
  size_t done = 0;
  while (done < trailer.size()) {
    const ssize_t put =
        ::pwrite(descriptor, trailer.data() + done, trailer.size() - done, static_cast<off_t>(size + done));
    if (put < 0 && errno == EINTR) continue;
    check(put >= 0, "{}: cannot write: {}{}", path.string(), std::strerror(errno),
          errno == ENOSPC || errno == EDQUOT ? "; free some space or write elsewhere" : "");
    done += static_cast<size_t>(put);
  }
}

FileKind kind_of_file(int descriptor, const fs::path& path) {
  struct stat status {};
  check(::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode),
        "{}: expected a model file, found a folder, device or pipe", path.string());
  const auto size = static_cast<uint64_t>(status.st_size);
  std::string head(static_cast<size_t>(std::min<uint64_t>(size, 512)), '\0');
  read_at(descriptor, 0, head.data(), head.size(), path);
  if (!head.starts_with(kHdf5Signature)) return FileKind::no_hdf5;
  std::string trailer(static_cast<size_t>(std::min<uint64_t>(size, kSealSize)), '\0');
  read_at(descriptor, size - trailer.size(), trailer.data(), trailer.size(), path);
  const bool cut = announced_end(head) > size;  // verify_seal says so
  const bool own = trailer.starts_with(kMagic) || contains(descriptor, size, "yolov3_cfg", path);
  return own || cut ? FileKind::sealed : FileKind::other_hdf5;
}

uint64_t verify_seal(int descriptor, const fs::path& path) {
  struct stat status {};
  check(::fstat(descriptor, &status) == 0, "{}: cannot inspect: {}", path.string(), std::strerror(errno));
  check(!S_ISDIR(status.st_mode), "{}: expected a model file, found a folder", path.string());
  check(S_ISREG(status.st_mode), "{}: expected a regular file, found a device or pipe", path.string());
  const auto size = static_cast<uint64_t>(status.st_size);
  check(size > 0, "{}: the file is empty; expected a model (.h5)", path.string());

  std::string head(static_cast<size_t>(std::min<uint64_t>(size, 512)), '\0');
  read_at(descriptor, 0, head.data(), head.size(), path);
  if (!head.starts_with(kHdf5Signature)) {
    check(!kHdf5Signature.starts_with(head), "{}: truncated: ends after {} bytes", path.string(), size);
    const std::string kind = describe_foreign(head);
    fail("{}: not a model of this program (.h5){}{}", path.string(), kind.empty() ? "" : ": it is ", kind);
  }
  const uint64_t end = announced_end(head);
  check(end == 0 || end > UINT64_MAX - kSealSize || size >= end + kSealSize || size == end,
        "{}: truncated: ends after {} of {} bytes; copy or download it again", path.string(), size, end + kSealSize);

  std::string trailer(kSealSize, '\0');
  if (size > kSealSize) read_at(descriptor, size - kSealSize, trailer.data(), kSealSize, path);
  if (!trailer.starts_with(kMagic)) {
    // Only 48 bytes and more can say where they end.
    check(head.size() >= 48, "{}: truncated: ends after {} bytes", path.string(), size);
    fail_unsealed(descriptor, size, path);
  }
  const uint64_t length = size - kSealSize;
  check(little_endian(trailer.data() + 8, 4) == static_cast<uint32_t>(length),
        "{}: damaged: {} bytes stand before the checksum, other than were written", path.string(), length);
  const auto written = static_cast<uint32_t>(little_endian(trailer.data() + 12, 4));
  const uint32_t found = crc32c(std::string_view(trailer).substr(0, 12), checksum_of(descriptor, length, path));
  check(written == found, "{}: damaged: the checksum says {:08x}, the contents give {:08x}; take another copy",
        path.string(), written, found);
  return length;
}

std::string describe_foreign(std::string_view head) {
  const auto byte = [&](size_t i) { return i < head.size() ? static_cast<uint8_t>(head[i]) : 256; };
  const std::string text = to_lower(trim(without_bom(head)).substr(0, 64));
  const auto begins = [&](std::string_view word) { return text.starts_with(word); };
  if (begins("<!doctype html") || begins("<html") || begins("<head") || begins("<script")) {
    return "an HTML page: the download failed or needs another link";
  }
  if (begins("<?xml")) return "an XML text; if it was downloaded, it is probably the server's error message";
  if (begins("version https://git-lfs")) return "a Git LFS pointer: run `git lfs pull` to get the file itself";
  if (begins("[net]") || begins("[network]")) return "a Darknet .cfg text; name it with --model";
  if (begins("{")) return "a JSON text";
  if (head.starts_with("PK\x03\x04")) {
    return "a zip archive, as PyTorch (.pt, .pth) and Keras (.keras) write; PyTorch and Keras models cannot be read";
  }
  if (byte(0) == 0x80 && byte(1) >= 2 && byte(1) <= 5) return "a Python pickle, as old PyTorch (.pt) writes";
  if (byte(0) == 0x1f && byte(1) == 0x8b) return "a gzip archive; unpack it first";
  if (head.starts_with("\x89PNG") || head.starts_with("\xff\xd8\xff")) return "a picture";
  if (head.starts_with("\x7f"
                       "ELF"))
    return "a program";
  if (byte(0) == 0x08 && byte(1) <= 0x10 && (byte(2) == 0x12 || byte(2) == 0x1a || byte(2) == 0x3a)) {
    return "an ONNX model; exporting to ONNX is one-way";
  }
  if (head.size() >= 12 && little_endian(head.data(), 4) == 0 && little_endian(head.data() + 4, 4) <= 3 &&
      little_endian(head.data() + 4, 4) >= 1 && little_endian(head.data() + 8, 4) <= 10) {
    return "a Darknet .weights file (or a truncated backbone of one); its name must say so, and it needs --model";
  }
  if (std::all_of(head.begin(), head.end(), [](char c) { return c == 0; })) {
    return "zeros: the disk or the copy lost its contents";
  }
  return "";
}

}  // namespace yolov3
