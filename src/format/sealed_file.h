// The 16-byte seal at the end of a model file, and what a file without one is instead.
//
//   8 bytes  "YOLOV3C1"
//   4 bytes  length of all before the seal, its low 32 bits, little-endian
//   4 bytes  CRC-32C of all before these four bytes, little-endian
//
// So no changed, missing or added byte passes. It guards against accidents, not against forgers.
// Errors: Error with the path.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace yolov3 {

constexpr size_t kSealSize = 16;

// An open file that closes itself.
class OpenFile {
 public:
  static OpenFile for_reading(const std::filesystem::path& path);
  static OpenFile for_writing(const std::filesystem::path& existing);
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile();
  int descriptor() const { return descriptor_; }

 private:
  explicit OpenFile(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

// Appends the seal to the `size` bytes that the file holds.
void seal(int descriptor, uint64_t size, const std::filesystem::path& path);

// Reads the whole file once and returns the length before the seal.
// Errors: anything but a whole, sealed HDF5 file, saying what it is where that can be told.
uint64_t verify_seal(int descriptor, const std::filesystem::path& path);

// What a file seems to be by its first and last bytes; nothing is verified. `sealed`: ends with a seal, damaged or not,
// or has our cfg inside.
enum class FileKind { sealed, other_hdf5, no_hdf5 };
FileKind kind_of_file(int descriptor, const std::filesystem::path& path);

// Reads exactly `size` bytes. Errors: the file ends before, because it shrank since its size was asked for.
void read_at(int descriptor, uint64_t offset, char* out, size_t size, const std::filesystem::path& path);

// What a file that is not HDF5 seems to be, from its first bytes: "an HTML page: ...". Empty = no idea.
std::string describe_foreign(std::string_view head);

}  // namespace yolov3
