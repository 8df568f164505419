// The little of HDF5 that a model file needs, over an open descriptor: float32 tensors, texts and attributes.
//
// Names are paths from the root without a leading slash ("conv2d/conv2d/kernel:0"); "" is the root itself.
// Reading trusts nothing: links must be hard links, data must be contiguous inside the file, of the expected type and
// shape, and every size is checked against the file's before memory is asked for.
// Errors: Error with the file's path and the object's name. HDF5 prints nothing.
// Threads: one File at a time in the process (HDF5 is not thread-safe everywhere); others wait.
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor.h"
#include "format/hdf5_driver.h"

namespace yolov3::hdf5 {

// An HDF5 identifier that closes itself.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle() = default;
  Handle(hid_t id, Close close) : id_(id), close_(close) {}
  Handle(Handle&& other) noexcept : id_(other.release()), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept;
  ~Handle() { reset(); }
  hid_t id() const { return id_; }
  explicit operator bool() const { return id_ >= 0; }
  herr_t reset();   // closes; negative when that failed
  hid_t release();  // gives the identifier away

 private:
  hid_t id_ = -1;
  Close close_ = nullptr;
};

// Sole use of HDF5 by this thread, with its error printing off.
class Session {
 public:
  Session();
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

 private:
  std::unique_lock<std::mutex> lock_;
  H5E_auto2_t print_ = nullptr;
  void* print_data_ = nullptr;
};

enum class Charset { ascii, utf8 };

class File {
 public:
  // A new HDF5 file in the empty file `descriptor`. `path` is for messages.
  static File create(int descriptor, std::filesystem::path path) { return File(descriptor, 0, std::move(path), true); }
  // The first `size` bytes of `descriptor` as an HDF5 file, for reading.
  static File open(int descriptor, uint64_t size, std::filesystem::path path) {
    return File(descriptor, size, std::move(path), false);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  // Writing. Groups on the way are made. Errors: a name used twice; a full disk, as soon as it is noticed.
  void write_tensor(const std::string& name, const Shape& shape, const float* values);
  void write_text(const std::string& name, std::string_view text);
  void make_group(const std::string& name);
  void write_attribute(const std::string& object, const std::string& name, std::string_view text);
  void write_attribute(const std::string& object, const std::string& name, int64_t value);
  void write_attribute(const std::string& object, const std::string& name, const std::vector<int64_t>& values);
  void write_attribute(const std::string& object, const std::string& name, const std::vector<std::string>& texts,
                       Charset charset);
  void write_attribute(const std::string& object, const std::string& name, const Shape& shape,
                       const std::vector<float>& values);
  uint64_t close();  // the size of the file, all of it written

  // Reading.
  uint64_t size() const { return target_.size; }
  bool exists(const std::string& name);         // a hard link, of any kind
  Shape tensor_shape(const std::string& name);  // its bytes are known to be in the file
  void read_tensor(const std::string& name, const Shape& shape, float* values);
  std::string read_text(const std::string& name);
  std::vector<std::string> datasets_below(const std::string& group);  // relative names of all data sets, sorted
  std::vector<std::string> attribute_names(const std::string& object);
  bool has_attribute(const std::string& object, const std::string& name);
  std::string read_text_attribute(const std::string& object, const std::string& name);
  std::vector<std::string> read_texts_attribute(const std::string& object, const std::string& name);
  // As other programs write lists of texts: also each of its own length (h5py 3), and an empty list as one of numbers
  // (numpy's). What their lengths say is believed by HDF5 alone: only for a fenced process (format/fenced_read.h).
  std::vector<std::string> read_foreign_texts_attribute(const std::string& object, const std::string& name);
  std::vector<int64_t> read_integers_attribute(const std::string& object, const std::string& name);
  std::vector<float> read_floats_attribute(const std::string& object, const std::string& name);

 private:
  File(int descriptor, uint64_t size, std::filesystem::path path, bool fresh);
  [[noreturn]] void refuse(const std::string& object, const std::string& reason) const;
  void check_written() const;
  Handle own(hid_t id, Handle::Close close, const std::string& object, const char* action) const;
  void put_attribute(const std::string& object, const std::string& name, hid_t type, const Handle& space,
                     const void* data);
  Handle text_type(const std::string& object, size_t length, Charset charset) const;
  Handle open_object(const std::string& name);
  void check_stored(const Handle& data, const std::string& name, uint64_t bytes);
  Handle open_tensor(const std::string& name, Shape& shape);
  Handle open_any_attribute(const std::string& object, const std::string& name, Handle& type, uint64_t& count);
  Handle open_attribute(const std::string& object, const std::string& name, H5T_class_t wanted, Handle& type,
                        uint64_t& count);
  std::vector<std::string> read_fixed_texts(const Handle& attribute, const Handle& type, uint64_t count,
                                            const std::string& label);
  std::vector<std::string> read_long_texts(const Handle& attribute, const Handle& type, uint64_t count,
                                           const std::string& label);

  Session session_;
  DriverTarget target_;
  std::filesystem::path path_;
  Handle file_;
};

}  // namespace yolov3::hdf5
