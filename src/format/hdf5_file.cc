#include "format/hdf5_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace yolov3::hdf5 {
namespace {

std::mutex& hdf5_mutex() {
  static std::mutex mutex;
  // We close what we open; HDF5's own clean-up at exit would only complain on stderr about what a damaged file left.
  static const herr_t no_cleanup = H5dont_atexit();
  (void)no_cleanup;
  return mutex;
}

std::vector<hsize_t> extents_of(const Shape& shape) { return {shape.begin(), shape.end()}; }

}  // namespace

Handle& Handle::operator=(Handle&& other) noexcept {
  if (this != &other) {
    reset();
    close_ = other.close_;
    id_ = other.release();
  }
  return *this;
}

herr_t Handle::reset() {
  const hid_t id = release();
  return id >= 0 ? close_(id) : 0;
}

hid_t Handle::release() { return std::exchange(id_, -1); }

Session::Session() : lock_(hdf5_mutex()) {
  H5Eget_auto2(H5E_DEFAULT, &print_, &print_data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Session::~Session() { H5Eset_auto2(H5E_DEFAULT, print_, print_data_); }

File::File(int descriptor, uint64_t size, std::filesystem::path path, bool fresh)
    : target_{descriptor, size, 0}, path_(std::move(path)) {
  const Handle access = own(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "", "prepare");
  // The format of HDF5 1.8: attributes over 64 KB, checksummed metadata, readable by everything since 2008.
  if (use_driver(access.id(), &target_) < 0 || H5Pset_fclose_degree(access.id(), H5F_CLOSE_STRONG) < 0 ||
      H5Pset_libver_bounds(access.id(), H5F_LIBVER_V18, H5F_LIBVER_V18) < 0) {
    refuse("", "HDF5 cannot set up its file access");
  }
  if (fresh) {
    const Handle creation = own(H5Pcreate(H5P_FILE_CREATE), H5Pclose, "", "prepare");
    H5Pset_obj_track_times(creation.id(), false);  // the same model gives the same bytes
    file_ = own(H5Fcreate("model", H5F_ACC_TRUNC, creation.id(), access.id()), H5Fclose, "", "create");
  } else {
    file_ = own(H5Fopen("model", H5F_ACC_RDONLY, access.id()), H5Fclose, "", "open");
  }
}

void File::refuse(const std::string& object, const std::string& reason) const {
  check_written();
  std::string printable = object;  // a damaged name may hold zero bytes, where a message would end
  std::ranges::replace_if(
      printable, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, '?');
  fail("{}: {}{}{}", path_.string(), printable, object.empty() ? "" : ": ", reason);
}

void File::check_written() const {
  if (target_.error == 0) return;
  const bool full = target_.error == ENOSPC || target_.error == EDQUOT;
  fail("{}: cannot write: {}{}", path_.string(), std::strerror(target_.error),
       full ? "; free some space or write elsewhere" : "");
}

Handle File::own(hid_t id, Handle::Close close, const std::string& object, const char* action) const {
  if (id < 0) refuse(object, fmt::format("HDF5 cannot {} it", action));
  return Handle(id, close);
}

void File::make_group(const std::string& name) {
  check(!name.empty() && name.find('\0') == std::string::npos, "{}: '{}' cannot name an object", path_.string(), name);
  size_t begin = 0;
  while (begin <= name.size()) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string component = name.substr(begin, end - begin);
    check(!component.empty() && component != ".",
          "{}: '{}' cannot name an object: no part between slashes may be empty or '.'", path_.string(), name);
    const std::string prefix = name.substr(0, end);
    begin = end + 1;
    if (H5Lexists(file_.id(), prefix.c_str(), H5P_DEFAULT) > 0) continue;
    const Handle creation = own(H5Pcreate(H5P_GROUP_CREATE), H5Pclose, name, "prepare");
    H5Pset_obj_track_times(creation.id(), false);
    own(H5Gcreate2(file_.id(), prefix.c_str(), H5P_DEFAULT, creation.id(), H5P_DEFAULT), H5Gclose, prefix,
        "make a group of");
  }
}

namespace {

// The folder part of a data set's name, after checking its last part.
std::string parent_of(const std::string& name, const std::filesystem::path& path) {
  const size_t slash = name.rfind('/');
  const std::string last = slash == std::string::npos ? name : name.substr(slash + 1);
  check(!last.empty() && last != "." && last.find('\0') == std::string::npos, "{}: '{}' cannot name a data set",
        path.string(), name);
  return slash == std::string::npos ? "" : name.substr(0, slash);
}

Handle dataset_creation() {
  Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_obj_track_times(creation.id(), false);
  H5Pset_layout(creation.id(), H5D_CONTIGUOUS);
  H5Pset_fill_time(creation.id(), H5D_FILL_TIME_NEVER);
  return creation;
}

}  // namespace

void File::write_tensor(const std::string& name, const Shape& shape, const float* values) {
  if (const std::string parent = parent_of(name, path_); !parent.empty()) make_group(parent);
  const std::vector<hsize_t> extents = extents_of(shape);
  const Handle space =
      own(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), H5Sclose, name, "shape");
  const Handle creation = dataset_creation();
  const Handle data =
      own(H5Dcreate2(file_.id(), name.c_str(), H5T_IEEE_F32LE, space.id(), H5P_DEFAULT, creation.id(), H5P_DEFAULT),
          H5Dclose, name, "create (is the name used twice?)");
  const bool ok =
      element_count(shape) == 0 || H5Dwrite(data.id(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
  check_written();
  if (!ok) refuse(name, "HDF5 cannot write it");
}

Handle File::text_type(const std::string& object, size_t length, Charset charset) const {
  Handle type = own(H5Tcopy(H5T_C_S1), H5Tclose, object, "make the type of");
  H5Tset_size(type.id(), std::max<size_t>(length, 1));
  H5Tset_strpad(type.id(), H5T_STR_NULLPAD);
  H5Tset_cset(type.id(), charset == Charset::utf8 ? H5T_CSET_UTF8 : H5T_CSET_ASCII);
  return type;
}

void File::write_text(const std::string& name, std::string_view text) {
  check(text.find('\0') == std::string_view::npos, "{}: {}: a text cannot hold a zero byte", path_.string(), name);
  if (const std::string parent = parent_of(name, path_); !parent.empty()) make_group(parent);
  const Handle space = own(H5Screate(H5S_SCALAR), H5Sclose, name, "shape");
  const Handle type = text_type(name, text.size(), Charset::utf8);
  const Handle creation = dataset_creation();
  const Handle data =
      own(H5Dcreate2(file_.id(), name.c_str(), type.id(), space.id(), H5P_DEFAULT, creation.id(), H5P_DEFAULT),
          H5Dclose, name, "create (is the name used twice?)");
  const std::string bytes(text.empty() ? std::string_view("\0", 1) : text);
  const bool ok = H5Dwrite(data.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()) >= 0;
  check_written();
  if (!ok) refuse(name, "HDF5 cannot write it");
}

void File::put_attribute(const std::string& object, const std::string& name, hid_t type, const Handle& space,
                         const void* data) {
  check(!name.empty() && name.find('\0') == std::string::npos, "{}: '{}' cannot name an attribute", path_.string(),
        name);
  const std::string label = object + "@" + name;
  const Handle attribute = own(H5Acreate_by_name(file_.id(), ("/" + object).c_str(), name.c_str(), type, space.id(),
                                                 H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                               H5Aclose, label, "create");
  if (H5Sget_simple_extent_npoints(space.id()) > 0 && H5Awrite(attribute.id(), type, data) < 0) {
    refuse(label, "HDF5 cannot write it");
  }
}

void File::write_attribute(const std::string& object, const std::string& name, std::string_view text) {
  check(text.find('\0') == std::string_view::npos, "{}: {}: a text cannot hold a zero byte", path_.string(), name);
  const Handle space = own(H5Screate(H5S_SCALAR), H5Sclose, name, "shape");
  const std::string bytes(text.empty() ? std::string_view("\0", 1) : text);
  put_attribute(object, name, text_type(name, bytes.size(), Charset::utf8).id(), space, bytes.data());
}

void File::write_attribute(const std::string& object, const std::string& name, int64_t value) {
  const Handle space = own(H5Screate(H5S_SCALAR), H5Sclose, name, "shape");
  put_attribute(object, name, H5T_STD_I64LE, space, &value);
}

void File::write_attribute(const std::string& object, const std::string& name, const std::vector<int64_t>& values) {
  const hsize_t count = values.size();
  const Handle space = own(H5Screate_simple(1, &count, nullptr), H5Sclose, name, "shape");
  put_attribute(object, name, H5T_STD_I64LE, space, values.data());
}

void File::write_attribute(const std::string& object, const std::string& name, const std::vector<std::string>& texts,
                           Charset charset) {
  size_t width = 1;
  for (const std::string& text : texts) {
    check(text.find('\0') == std::string::npos, "{}: {}: a text cannot hold a zero byte", path_.string(), name);
    width = std::max(width, text.size());
  }
  std::string bytes(width * texts.size(), '\0');
  for (size_t i = 0; i < texts.size(); ++i) std::copy(texts[i].begin(), texts[i].end(), bytes.begin() + i * width);
  const hsize_t count = texts.size();
  const Handle space = own(H5Screate_simple(1, &count, nullptr), H5Sclose, name, "shape");
  put_attribute(object, name, text_type(name, width, charset).id(), space, bytes.data());
}

void File::write_attribute(const std::string& object, const std::string& name, const Shape& shape,
                           const std::vector<float>& values) {
  const std::vector<hsize_t> extents = extents_of(shape);
  const Handle space =
      own(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), H5Sclose, name, "shape");
  put_attribute(object, name, H5T_IEEE_F32LE, space, values.data());
}

uint64_t File::close() {
  const herr_t closed = file_.reset();
  check_written();
  if (closed < 0) refuse("", "HDF5 cannot finish the file");
  return target_.size;
}

}  // namespace yolov3::hdf5
